"""Real names are not taken for links, and real links are, in every way that people type them."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.text.bounded_text import RefusedTextError
from campaign.text.links import contains_link, may_contain_link

NAMES = {
    "Argentina": ["Ma. de los Ángeles Pérez", "Fco.de Asís Ruiz", "Juan M. de Rosas", "José A.di Tella"],
    "Australia": ["J.St John", "D'Arcy O'Neill", "Wm.Smith-Jones Sr."],
    "Austria": ["Dr.de Vries", "Mag.phil. Anna Maier", "Dipl.-Ing. K.Ebner", "DI(FH) M.Huber", "Prof.em. E.Hlawka"],
    "Bangladesh": ["Md.In'am Hossain", "Md.Abdul Karim", "Mst.Li Akter", "A.K.M.Dev"],
    "Belgium": ["J.van den Bergh", "Ph.de Croo", "A.t'Serstevens"],
    "Brazil": ["João da Silva Jr.", "M.do Carmo", "Ant.de Souza", "Dra.Lu Alckmin", "Sta.Rosa"],
    "Cambodia": ["Sok.Net", "S.Net", "Hun.To"],
    "Canada": ["J.-P. St-Pierre", "Ste.Marie, Anne", "Fr.Me Lacroix"],
    "China": ["Wang.Ru", "Li.Su", "Zhang.Ge", "李小龍", "Chen.Cc Wu"],
    "Czechia": ["Ing.arch. J.Pleskot", "MUDr.Eva Nová, Ph.D.", "K.H.Borovský ml."],
    "Egypt": ["د.محمد علي", "Dr.Al Sayed", "A.Al-Sisi"],
    "Ethiopia": ["Ato Kebede T.Mariam", "W/ro Almaz", "W/T.Hana", "G/Egziabher T."],
    "Finland": ["A.af Gallén", "dos.Matti Ii", "Y.Fi Laine"],
    "France": ["Me.Dupont", "M.de La Fontaine", "Mlle.Li", "L.d'Arc", "J.-M.Le Pen", "St.Just"],
    "Germany": ["J.de Maizière", "Dr.in spe K.Ai", "v.d.Leyen", "Dr.-Ing. h.c. F.Porsche", "e.V."],
    "Greece": ["Γ.Παπανδρέου", "K.Karamanlis"],
    "Hungary": ["dr.Su Ildikó", "ifj.Nagy J.", "özv.Kis P.-né", "id.Antall"],
    "Iceland": ["Jón.Is", "B.Is Guðmundsdóttir"],
    "India": [
        "K.Dev",
        "Kapil.Dev",
        "A.P.J.Abdul Kalam",
        "S.P.B.Charan",
        "Ravi M.Com",
        "B.com Rao",
        "M.Sc/B.Ed",
        "R.In",
    ],
    "Indonesia": ["R.Ay.Kartini", "M.Id", "Hj.Siti", "Muh.Al Fatih"],
    "Iran": ["رضا‌پور", "ع.م.کاظمی"],
    "Ireland": ["Ó.St John", "O’Brien", "Fr.Pat O'Dea", "Seán.Ó Sé"],
    "Israel": ["ד.בן-גוריון", "D.Ben-Gurion"],
    "Italy": ["Avv.to Rossi", "Dott.ssa L.Bianchi", "G.De Li", "Sig.ra D'Amico", "avv.to bianchi"],
    "Japan": ["マイケル・ジャクソン", "A.To", "J.Co", "森.A"],
    "Korea": ["Kim.In-su", "kim.in-su", "J.In", "Park.Jp"],
    "Malaysia": ["M.My", "Muhd.Al-Amin", "S.a/l Raju", "Tan.Co"],
    "Mexico": ["Ma.de la Luz", "Gpe.la Torre", "J.de Jesús", "Sra.Lupe del Río"],
    "Mongolia": ["Б.Энх", "B.Me"],
    "Myanmar": ["U.Win", "Daw.Su", "Ma.Su", "ne.Win"],
    "Netherlands": ["J.de Vries", "jan.de vries", "J.in 't Veld", "P.in t Veld", "G.v.d.Berg", "J.Top", "A.van 't Hof"],
    "Nigeria": ["Chief O.Ng", "Alh.Sa'ad", "Engr.So Eze"],
    "Norway": ["L.No", "Live.No", "K.Li"],
    "Pakistan": ["Ch.Md.Ali", "Sh.Al-Haq", "Syed M.Pk"],
    "Philippines": ["Ma.Co", "Jose P.Rizal III", "Sto.Tomas", "Atty.Li Dela Cruz"],
    "Poland": ["ks.Jan Z.", "M.Pl", "dr hab.inż. A.Lis"],
    "Portugal": ["M.de S.José", "D.Pt", "Sr.Pe"],
    "Russia": ["А.С.Пушкин", "И.Ру", "Р.Ф.Иванов"],
    "Scotland": ["K.MacLeod of MacLeod", "Rt.Hon.Me Campbell"],
    "Spain": ["Mª.del Mar", "J.M.de Prada", "Fco.de la Hoz", "M.es Vives"],
    "Sweden": ["C.af Ugglas", "B.Se Ek"],
    "Switzerland": ["lic.iur.Li", "P.Ch", "J.-J.de Watteville"],
    "Tamil Nadu": ["M.S.In", "V.V.S.Laxman", "T.K.St.Paul"],
    "Turkey": ["Ş.Top", "A.İn", "Av.To"],
    "Ukraine": ["Т.Г.Шевченко", "О.Ук"],
    "United Kingdom": ["J.R.R.Tolkien", "Rev.St John-Smith", "A.A.Milne, Esq.", "Dot Com", "Sir T.More"],
    "United States": [
        *("Martin Luther King, Jr.", "Jr. St.John", "T.J.Maxx", "X Æ A-12", "Dr. No", "Amy, Ed.D.", "K.DEV", "DR.LY"),
        *("J.P.Me", "St.Clair III", "Mr.T", "D.B.A. Lee", "Robt.Li"),
    ],
    "Vietnam": ["Dr.Ly", "dr.ly", "Nguyen.Ly", "T.Loan", "L.T.Su", "Ng.Th.Ai Vy"],
    "places": [
        *(
            "Rio.de Janeiro",
            "rio.de janeiro",
            "St. Moritz",
            "St.Louis",
            "Washington D.C.",
            "N.Y.",
            "L.A.",
            "Mt.Pleasant",
        ),
        *("Ft.Worth", "S.Francisco", "Sta.Cruz de Tenerife", "Frankfurt a.M.", "Neustadt a.d.Weinstraße", "x.company"),
    ],
}
LINKS = {
    "scheme": ["https://spam.example", "http:spam", "hxxp://x.y", "://x", "see HTTPS://X", "javascript:alert(1)"],
    "www": ["www.spam", "WWW.SPAM", "www .spam", "ｗｗｗ．ｓｐａｍ", "www2.spam"],
    "at": ["a@b", "a＠b", "me@", "@casino"],
    "path": [
        "t.me/casino",
        "T.me/casino",
        "bit.ly/abc",
        "BIT.LY/ABC",
        "wa.me/123",
        "youtu.be/x",
        "x.com:8080/",
        "vk.com/a",
    ],
    "host": ["Buy at cheap.com", "visit my-site.com", "see casino.pw", "Casino.ru", "CHEAP.COM", "CASINO.RU", "a.SHOP"],
    "short": ["x.com", "ab.de", "goo.gl", "nguyen.ly", "kapil.dev", "buy at casino.de", "casino24.de bonus"],
    "several labels": ["evil.co.uk", "my.site.io", "sub.my-casino.xyz", "a.b.c.online"],
    "scripts": ["домен.рф", "пиши на сайт.рус", "例え.みんな", "中文.中国", "evil．com", "evil。com", "evil․com"],
    "hidden": ["evil.c\u200dom", "www\u200d.evil", "evil\u200c.com", "ev\u00adil.com"],
    "disguised": [
        "evil dot com",
        "evil DOT com",
        "evil[.]com",
        "evil(dot)com",
        "evil . com",
        "cheap .com",
        "cheap. com",
    ],
    "punctuation": ["(evil.com)", "evil.com.", "evil.com, now", "“evil.com”", "evil,com"],
}


@pytest.mark.parametrize("country", NAMES)
def test_real_name_is_not_taken_for_a_link(country: str) -> None:
    assert [name for name in NAMES[country] if contains_link(name)] == []


@pytest.mark.parametrize("kind", LINKS)
def test_link_is_found_and_pointed_out(kind: str) -> None:
    assert [link for link in LINKS[kind] if not contains_link(link)] == []
    assert [link for link in LINKS[kind] if not may_contain_link(link)] == []


@pytest.mark.parametrize(
    "text", ["K.Dev", "Dr.Ly", "Dr.de Vries", "Rio.de Janeiro", "t.me", "Evil.Net", "x.shop", "M.Com"]
)
def test_name_that_could_be_a_link_is_pointed_out_to_moderators(text: str) -> None:
    assert may_contain_link(text)


@pytest.mark.parametrize("text", ["Ada Lovelace", "J.de Vries", "St. Moritz", "Martin Luther King, Jr.", "А.С.Пушкин"])
def test_ordinary_name_is_not_pointed_out(text: str) -> None:
    assert not may_contain_link(text)


WORD = st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=12)
CAPITALIZED = WORD.map(str.capitalize)
INITIALS = st.lists(st.sampled_from(string.ascii_uppercase), min_size=1, max_size=4).map(".".join)
DOMAIN = st.sampled_from(
    ["com", "net", "org", "info", "xyz", "online", "ru", "io", "co.uk", "de", "dev", "ly", "shop", "casino"]
)


@given(INITIALS, st.lists(CAPITALIZED, min_size=1, max_size=3))
def test_initials_before_capitalized_names_are_no_link(initials: str, names: list[str]) -> None:
    for name in (
        f"{initials}.{'.'.join(names[:1])}",
        f"{initials}. {' '.join(names)}",
        f"{' '.join(names)} {initials}.",
    ):
        assert not contains_link(name)


@given(CAPITALIZED, st.sampled_from(["de", "in", "la", "al", "to", "st"]), CAPITALIZED)
def test_particle_between_capitalized_names_is_no_link(first: str, particle: str, last: str) -> None:
    assert not contains_link(f"{first}.{particle} {last}")


@given(
    st.text("abcdefghijklmnopqrstuvwxyz", min_size=6, max_size=20), DOMAIN, st.sampled_from(["", "/", "/x", ".", "!"])
)
def test_lowercase_host_name_is_a_link(label: str, domain: str, after: str) -> None:
    for text in (f"{label}.{domain}{after}", f"Visit {label}.{domain}{after}", f"my-{label}.{domain}{after}"):
        assert contains_link(text)


@given(st.text(max_size=60))
@pytest.mark.slow
def test_every_link_is_pointed_out_to_moderators(text: str) -> None:
    assert may_contain_link(text) or not contains_link(text)


@pytest.mark.parametrize("text", ["a." * 600, "a" + "\u0301" * 20 + "\u200d" + "\u0301" * 20])
def test_text_beyond_the_limits_is_refused_and_pointed_out(text: str) -> None:
    assert may_contain_link(text)
    with pytest.raises(RefusedTextError):
        contains_link(text)
