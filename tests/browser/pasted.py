"""What programs put on the clipboard when people copy formatted text, and the Markdown that the letter gets."""

WORD = """<html xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office"
xmlns:w="urn:schemas-microsoft-com:office:word" xmlns="http://www.w3.org/TR/REC-html40"><head>
<meta name=Generator content="Microsoft Word 15"><style><!-- p.MsoNormal {margin:0in; font-size:11.0pt;} --></style>
<!--[if gte mso 9]><xml><w:WordDocument><w:View>Normal</w:View></w:WordDocument></xml><![endif]--></head>
<body lang=EN-US link="#0563C1" style='tab-interval:.5in;word-wrap:break-word'>
<!--StartFragment-->
<p class=MsoTitle>Save the Park<o:p></o:p></p>
<h2>Why now<o:p></o:p></h2>
<p class=MsoNormal style='margin-bottom:8.0pt'>Dear <b style='mso-bidi-font-weight:normal'>Mayor</b>,<span
style='mso-spacerun:yes'>&nbsp; </span>we <i>all</i> ask you to read <a
href="https://example.org/park"><span style='color:#0563C1'>our report</span></a>.<o:p></o:p></p>
<p class=MsoNormal><o:p>&nbsp;</o:p></p>
<p class=MsoListParagraphCxSpFirst style='text-indent:-.25in;mso-list:l0 level1 lfo1'><![if !supportLists]><span
style='font-family:Symbol'><span style='mso-list:Ignore'>·<span style='font:7.0pt "Times New Roman"'>&nbsp;&nbsp;&nbsp;
</span></span></span><![endif]>trees<o:p></o:p></p>
<p class=MsoListParagraphCxSpMiddle style='margin-left:1.0in;mso-add-space:auto;text-indent:-.25in;mso-list:l0 level2 lfo1'><![if !supportLists]><span
style='font-family:"Courier New"'><span style='mso-list:Ignore'>o<span style='font:7.0pt "Times New Roman"'>&nbsp;&nbsp;
</span></span></span><![endif]>oaks<o:p></o:p></p>
<p class=MsoListParagraphCxSpLast style='text-indent:-.25in;mso-list:l0 level1 lfo1'><![if !supportLists]><span
style='mso-list:Ignore'>·<span>&nbsp;</span></span><![endif]>birds<o:p></o:p></p>
<p class=MsoNormal>And:<o:p></o:p></p>
<p class=MsoListParagraphCxSpFirst style='mso-list:l1 level1 lfo2'><![if !supportLists]><span style='mso-list:
Ignore'>1.<span>&nbsp;&nbsp;</span></span><![endif]>first<o:p></o:p></p>
<p class=MsoListParagraphCxSpLast style='mso-list:l1 level1 lfo2'><![if !supportLists]><span style='mso-list:
Ignore'>2.<span>&nbsp;&nbsp;</span></span><![endif]>second<o:p></o:p></p>
<p class=MsoQuote>It is ours.<o:p></o:p></p>
<p class=MsoNormal><img width=96 height=64 src="file:///C:/park.png" alt="A park"></p>
<!--EndFragment-->
</body></html>"""

WORD_NUMBERS = """<html><body lang=EN-US><!--StartFragment-->
<h1 style='margin-left:.25in;mso-list:l0 level1 lfo1'><![if !supportLists]><span style='mso-list:Ignore'>1.<span
style='font:7.0pt "Times New Roman"'>&nbsp;&nbsp;</span></span><![endif]>Our demands<o:p></o:p></h1>
<h2 style='mso-list:l0 level2 lfo1'><![if !supportLists]><span style='mso-list:Ignore'>1.2<span>&nbsp;</span></span><![endif]>Water</h2>
<h2 style='mso-list:l5 level1 lfo6'><![if !supportLists]><span style='mso-list:Ignore'>·<span>&nbsp;</span></span><![endif]>Air</h2>
<p class=MsoListParagraph style='mso-list:l1 level1 lfo2'><![if !supportLists]><span style='mso-list:Ignore'>1.<span
style='font:7.0pt "Times New Roman"'>&nbsp;&nbsp;</span></span><![endif]>Plant trees.<o:p></o:p></p>
<p class=MsoNormal>They cool the city.<o:p></o:p></p>
<p class=MsoListParagraph style='mso-list:l1 level1 lfo2'><![if !supportLists]><span style='mso-list:Ignore'>2.<span
style='font:7.0pt "Times New Roman"'>&nbsp;&nbsp;</span></span><![endif]>Keep the pond.<o:p></o:p></p>
<p class=MsoListParagraph style='mso-list:l1 level2 lfo2'><![if !supportLists]><span style='mso-list:Ignore'>2.3.<span
style='font:7.0pt "Times New Roman"'>&nbsp;&nbsp;</span></span><![endif]>Clean it.<o:p></o:p></p>
<p class=MsoNormal>Frogs live there.<o:p></o:p></p>
<p class=MsoNormal style='mso-list:l2 level1 lfo3'><![if !supportLists]>12)<span
style='font:7.0pt "Times New Roman"'>&nbsp;&nbsp;</span><![endif]>Open the gate.<o:p></o:p></p>
<p class=MsoListParagraph style='mso-list:l4 level1 lfo5'><![if !supportLists]><span style='mso-list:Ignore'>·<span
style='font:7.0pt "Times New Roman"'>&nbsp;</span></span><![endif]>On Sundays.<o:p></o:p></p>
<p class=MsoListParagraph style='mso-list:l2 level1 lfo3'><![if !supportLists]><span style='mso-list:Ignore'>13)<span
style='font:7.0pt "Times New Roman"'>&nbsp;</span></span><![endif]>Keep it open.<o:p></o:p></p>
<p class=MsoNormal>At night too.<o:p></o:p></p>
<p class=MsoListParagraph style='mso-list:l3 level1 lfo4'><!--[if !supportLists]--><span style='mso-list:Ignore'>(b)<span
style='font:7.0pt "Times New Roman"'>&nbsp;</span></span><!--[endif]-->Answer us.<o:p></o:p></p>
<!--EndFragment--></body></html>"""

WORD_COMMENTS = """<html><body lang=EN-US><!--StartFragment-->
<p class=MsoNormal>We ask <a style='mso-comment-reference:AL_1;mso-comment-date:20260105T0930'>the <b>mayor</b></a><span
class=MsoCommentReference><span style='font-size:8.0pt'><![if !supportAnnotations]><a class=msocomanchor id="_anchor_1"
href="#_msocom_1" language=JavaScript name="_msoanchor_1">[AL1]</a><![endif]><span style='mso-special-character:
comment'>&nbsp;</span></span></span> to <span style='mso-comment-continuation:2'>act</span><a href="#_msocom_2"
name="_msoanchor_2">[AL2]</a><span style='mso-special-character:comment'>&nbsp;</span>.<o:p></o:p></p>
<div style='mso-element:comment-list'><![if !supportAnnotations]><hr class=msocomoff align=left size=1 width="33%"><![endif]>
<div style='mso-element:comment'><![if !supportAnnotations]><div id="_com_1" class=msocomtxt language=JavaScript><![endif]><span
style='mso-comment-author:"Ada Lovelace"'><![if !supportAnnotations]><a name="_msocom_1"></a><![endif]></span>
<p class=MsoCommentText><span class=MsoCommentReference><a href="#_msoanchor_1" class=msocomoff>[AL1]</a></span>Too polite?</p>
<![if !supportAnnotations]></div><![endif]></div></div>
<!--EndFragment--></body></html>"""

WORD_FOR_THE_WEB = """<html><body><!--StartFragment--><div class="OutlineElement Ltr SCXW1"><p class="Paragraph SCXW1"
role="heading"><span class="TextRun SCXW1" style="font-weight:bold">Strong</span><span class="TextRun SCXW1"> words</span><span
class="EOP SCXW1">&nbsp;</span></p></div><div class="ListContainerWrapper SCXW1"><ul class="BulletListStyle1 SCXW1" role="list"><li
data-aria-level="1" role="listitem" class="OutlineElement"><p class="Paragraph"><span>one</span><span class="EOP">&nbsp;</span></p></li></ul></div><div
class="ListContainerWrapper SCXW1"><ul role="list"><li data-aria-level="2" role="listitem"><p><span>inner</span></p></li></ul></div><div
class="ListContainerWrapper SCXW1"><ul role="list"><li data-aria-level="1" role="listitem"><p><span>two</span></p></li></ul></div><!--EndFragment--></body></html>"""

GOOGLE_DOCS = """<meta charset='utf-8'><meta charset="utf-8"><b style="font-weight:normal;"
id="docs-internal-guid-0a1b2c3d-7fff"><h2 dir="ltr" style="line-height:1.38;margin-top:18pt;"><span
style="font-size:16pt;font-family:Arial;font-weight:400;white-space:pre-wrap;">Why now</span></h2><p dir="ltr"
style="line-height:1.38;"><span style="font-weight:400;font-style:normal;white-space:pre-wrap;">We ask you to </span><span
style="font-weight:700;font-style:normal;white-space:pre-wrap;">act today</span><span style="font-weight:400;font-style:italic;"> or
tomorrow</span><span style="font-weight:400;">, see </span><a
href="https://www.google.com/url?q=https://example.org/park&amp;sa=D&amp;ust=1" style="text-decoration:none;"><span
style="color:#1155cc;font-weight:400;text-decoration:underline;">our report</span></a><span
style="font-weight:400;">.</span></p><br /><ul style="margin-top:0;"><li dir="ltr" style="list-style-type:disc;font-weight:400;"
aria-level="1"><p dir="ltr" role="presentation"><span style="font-weight:400;">trees</span></p></li><ul><li dir="ltr"
aria-level="2"><p dir="ltr" role="presentation"><span style="font-weight:400;">oaks</span></p></li></ul><li dir="ltr"
aria-level="1"><p dir="ltr" role="presentation"><span style="font-weight:400;">birds</span></p></li></ul><ol><li dir="ltr"
aria-level="1"><p dir="ltr" role="presentation"><span style="font-weight:400;">first</span></p></li><li dir="ltr"
aria-level="1"><p dir="ltr" role="presentation"><span style="font-weight:400;">second</span></p></li></ol></b><br
class="Apple-interchange-newline">"""

WEB_PAGE = """<article class="post" style="max-width:40em"><script>alert(1)</script><style>p {color: red}</style>
<h1 id="top">Save <em>the</em> park</h1>
<p onclick="alert(2)">Read <strong>this</strong> and <a href="javascript:alert(3)">not this</a>,
<a href="mailto:ada@example.org">write</a>, or <a href="/local">stay</a>.</p>
<blockquote><p>It is ours.</p><p>All of it.</p></blockquote>
<ol start="3"><li>three<ul><li>inner</li></ul></li><li>four</li></ol>
<table><tr><td>Left</td><td>Right</td></tr></table>
<p style="display:none">hidden</p><img src="https://tracker.example/p.gif" alt="A tree"><hr>
<p>2 * 3 * 4 is [not] a_b_c, and _this_ isn&#8217;t &lt;b&gt;<br>1. really</p></article>"""

GMAIL = """<div dir="ltr">Hi all,<div><br></div><div>please <b>sign</b>:</div><div><ul><li
style="margin-left:15px">today</li><li style="margin-left:15px">tomorrow</li></ul></div><br><div class="gmail_quote"><div
dir="ltr" class="gmail_attr">On Mon, Ada wrote:<br></div><blockquote class="gmail_quote"
style="margin:0px 0px 0px 0.8ex;border-left:1px solid rgb(204,204,204)"><div dir="ltr">First line<br>Second
line</div></blockquote></div></div>"""

CLIPBOARDS = {
    "Word": (
        WORD,
        "# Save the Park\n\n## Why now\n\n"
        "Dear **Mayor**, we *all* ask you to read [our report](https://example.org/park).\n\n"
        "- trees\n  - oaks\n- birds\n\nAnd:\n\n1. first\n2. second\n\n> It is ours.",
    ),
    "Word, with numbers": (
        WORD_NUMBERS,
        "# 1. Our demands\n\n## 1.2 Water\n\n## Air\n\n"
        "1. Plant trees.\n\nThey cool the city.\n\n2. Keep the pond.\n\n   3. Clean it.\n\nFrogs live there.\n\n"
        "12. Open the gate.\n- On Sundays.\n\n13. Keep it open.\n\nAt night too.\n\n1. Answer us.",
    ),
    "Word, with comments": (WORD_COMMENTS, "We ask the **mayor** to act."),
    "Word for the web": (WORD_FOR_THE_WEB, "**Strong** words\n\n- one\n  - inner\n- two"),
    "Google Docs": (
        GOOGLE_DOCS,
        "## Why now\n\n"
        "We ask you to **act today** *or tomorrow*, see [our report](https://example.org/park).\n\n"
        "- trees\n  - oaks\n- birds\n1. first\n2. second",
    ),
    "web page": (
        WEB_PAGE,
        "# Save *the* park\n\nRead **this** and not this, [write](mailto:ada@example.org), or stay.\n\n"
        "> It is ours.\n>\n> All of it.\n\n3. three\n   - inner\n4. four\n\nLeft\n\nRight\n\n---\n\n"
        "2 \\* 3 \\* 4 is \\[not\\] a_b_c, and \\_this\\_ isn’t \\<b>\\\n1\\. really",
    ),
    "Gmail": (
        GMAIL,
        "Hi all,\n\nplease **sign**:\n\n- today\n- tomorrow\n\nOn Mon, Ada wrote:\n\n> First line\\\n> Second line",
    ),
    "a few words": ("<meta charset='utf-8'><span>just words</span>", "just words"),
}
"""For each program, the HTML on the clipboard, and the Markdown."""

BARE_URLS = {
    "See https://en.wikipedia.org/wiki/Mercury_(planet), or": "https://en.wikipedia.org/wiki/Mercury_(planet)",
    "https://example.org/_a": "https://example.org/_a",
    "*a* https://example.org/a__b/c*d *b*": "https://example.org/a__b/c*d",
    "https://_a.example.org:8080/?_b=&amp;copy;#_c": "https://_a.example.org:8080/?_b=&copy;#_c",
    "(www.example.org/_a_)": "www.example.org/_a",
    "<b>https://example.org/_(a)</b>*": "https://example.org/_(a)",
    "<i>https://example.org/_a*</i>": "https://example.org/_a",
    "https://example.org/_a`_b_": "https://example.org/_a",
    "公園https://example.org/_a_。_次_": "https://example.org/_a",
    "www.*all*": "",
    "_ada_@www.example.org/_a_": "",
    '<a href="/page">https://example.org/_a</a>': "https://example.org/_a",
}
"""Words with a URL that isn't a link, as HTML, and the URL that becomes one."""
