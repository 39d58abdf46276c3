"""City names as people there spell them.

The list of ZIP codes spells cities as the US Postal Service does: with a capital for each word, and without
apostrophes, hyphens, and accents. The rules and exceptions here follow the Geographic Names Information System of the
US Geological Survey, and for "St." the Census Bureau.
"""

import re
from collections.abc import Callable
from functools import lru_cache

_RULES: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    # Initials and abbreviations.
    (r"\b(?:Apo|Cbc|Dhs|Dpo|Fpo|Jber|Jbphh|Jbsa|Jrb|Mcbh|Mdl|Stc|Usaf)\b", lambda found: found[0].upper()),
    (r"\bFt\b", "Fort"),
    (r"\bMt\b", "Mount"),
    (r"\b(?:Saint|St) (?=[A-Z])", "St. "),
    (r"\bSainte (?=[A-Z])", "Ste. "),
    # McKinney and McRae from Mckinney and Mc Rae; O'Fallon, but not Round O; D'Hanis.
    (r"\bMc ?([A-Za-z])", lambda found: f"Mc{found[1].upper()}"),
    (r"\b([DO]) (?=[A-Z])", r"\1'"),
    # Small words inside a name: City of Industry, Fond du Lac, Croton-on-Hudson.
    (r" On Hudson$", "-on-Hudson"),
    (r" By The Sea$", "-by-the-Sea"),
    (r"(?<= )(?:And|Au|Aux|De|Del|Du|In|Of|On|Or|The)(?= )", lambda found: found[0].lower()),
]
_COMPILED = [(re.compile(pattern), replacement) for pattern, replacement in _RULES]

_EXCEPTIONS = {
    "Anasco, PR": "Añasco",
    "Angeles, PR": "Ángeles",
    "Bayamon, PR": "Bayamón",
    "Bird In Hand, PA": "Bird-in-Hand",
    "Bois D Arc, MO": "Bois D'Arc",
    "Boqueron, PR": "Boquerón",
    "Butte Des Morts, WI": "Butte des Morts",
    "Camp H M Smith, HI": "Camp H.M. Smith",
    "Canon City, CO": "Cañon City",
    "Canovanas, PR": "Canóvanas",
    "Castaner, PR": "Castañer",
    "Catano, PR": "Cataño",
    "Cave In Rock, IL": "Cave-In-Rock",
    "Coeur D Alene, ID": "Coeur d'Alene",
    "Comerio, PR": "Comerío",
    "D LO, MS": "D'Lo",
    "De Ruyter, NY": "DeRuyter",
    "Debary, FL": "DeBary",
    "Deforest, WI": "DeForest",
    "Defuniak Springs, FL": "DeFuniak Springs",
    "Dekalb, IL": "DeKalb",
    "Deland, FL": "DeLand",
    "Demotte, IN": "DeMotte",
    "Dequincy, LA": "DeQuincy",
    "Deridder, LA": "DeRidder",
    "Desoto, TX": "DeSoto",
    "Dewitt, MI": "DeWitt",
    "Diberville, MS": "D'Iberville",
    "Dona Ana, NM": "Doña Ana",
    "Dover Foxcroft, ME": "Dover-Foxcroft",
    "Du Bois, PA": "DuBois",
    "Dupont, WA": "DuPont",
    "Espanola, NM": "Española",
    "Fe Warren AFB, WY": "F.E. Warren AFB",
    "Fort George G Meade, MD": "Fort George G. Meade",
    "Fuquay Varina, NC": "Fuquay-Varina",
    "Gruetli Laager, TN": "Gruetli-Laager",
    "Guanica, PR": "Guánica",
    "Hagatna, GU": "Hagåtña",
    "Ho Ho Kus, NJ": "Ho-Ho-Kus",
    "Howey In The Hills, FL": "Howey-in-the-Hills",
    "Juana Diaz, PR": "Juana Díaz",
    "Kailua Kona, HI": "Kailua-Kona",
    "Kings Canyon National Pk, CA": "Kings Canyon National Park",
    "La Canada Flintridge, CA": "La Cañada Flintridge",
    "La Fayette, GA": "LaFayette",
    "La Follette, TN": "LaFollette",
    "La Place, LA": "LaPlace",
    "Labelle, FL": "LaBelle",
    "Lagrange, GA": "LaGrange",
    "Lamoure, ND": "LaMoure",
    "Land O Lakes, FL": "Land O' Lakes",
    "Land O Lakes, WI": "Land O' Lakes",
    "Lanse, MI": "L'Anse",
    "Las Marias, PR": "Las Marías",
    "Lees Summit, MO": "Lee's Summit",
    "Little River Academy, TX": "Little River-Academy",
    "Loiza, PR": "Loíza",
    "Lutherville Timonium, MD": "Lutherville-Timonium",
    "Mac Arthur, WV": "MacArthur",
    "Manati, PR": "Manatí",
    "Mayaguez, PR": "Mayagüez",
    "Mc Rae Helena, GA": "McRae-Helena",
    "Melcher Dallas, IA": "Melcher-Dallas",
    "Mi Wuk Village, CA": "Mi-Wuk Village",
    "Milton Freewater, OR": "Milton-Freewater",
    "Obrien, CA": "O'Brien",
    "Odonnell, TX": "O'Donnell",
    "Oneill, NE": "O'Neill",
    "Opa Locka, FL": "Opa-locka",
    "Pena Blanca, NM": "Peña Blanca",
    "Penasco, NM": "Peñasco",
    "Penuelas, PR": "Peñuelas",
    "Petrified Forest Natl Pk, AZ": "Petrified Forest National Park",
    "Pinon Hills, CA": "Piñon Hills",
    "Pointe A La Hache, LA": "Pointe à la Hache",
    "Put In Bay, OH": "Put-in-Bay",
    "Rincon, PR": "Rincón",
    "Rio Blanco, PR": "Río Blanco",
    "Rio Grande, PR": "Río Grande",
    "S Coffeyville, OK": "South Coffeyville",
    "Saint Jo, TX": "Saint Jo",
    "Saint Just, PR": "Saint Just",
    "Saint Mary Of The Woods, IN": "Saint Mary-of-the-Woods",
    "San German, PR": "San Germán",
    "San Sebastian, PR": "San Sebastián",
    "Sedro Woolley, WA": "Sedro-Woolley",
    "Soddy Daisy, TN": "Soddy-Daisy",
    "Southern Md Facility, MD": "Southern MD Facility",
    "TY TY, GA": "Ty Ty",
    "Thompsons Station, TN": "Thompson's Station",
    "Wakeeney, KS": "WaKeeney",
    "Wilkes Barre Pa S&Dc, PA": "Wilkes-Barre",
    "Wilkes Barre, PA": "Wilkes-Barre",
    "Winston Salem, NC": "Winston-Salem",
    "Winston-salem, NC": "Winston-Salem",
    "Wood Ridge, NJ": "Wood-Ridge",
}
"""Spellings that no rule produces, by the Postal Service's name and the state."""


@lru_cache(maxsize=1024)
def spelled(city: str, state: str) -> str:
    """Return the local spelling of a city in the list of ZIP codes.

    Args:
        city: The city as the Postal Service spells it, such as "Mc Kinney".
        state: The state's USPS code, such as "TX".
    """
    if exception := _EXCEPTIONS.get(f"{city}, {state}"):
        return exception
    for pattern, replacement in _COMPILED:
        city = pattern.sub(replacement, city)
    return city
