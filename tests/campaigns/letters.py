"""Letters that tests of the page and of the book share: every kind of Markdown, and what people paste."""

from campaign.settings import ROOT

SAMPLE = (ROOT / "campaigns" / "end-ring-police-partnerships.md").read_text().split("---\n", 2)[2].strip()
LETTERS = {
    "sample": SAMPLE,
    "paragraphs": "Dear Mayor,\n\nplease *keep* the **park**.\n\nYours,\nAda",
    "a list from 3": "We ask for:\n\n3. Third\n4. Fourth\n\n7) Seventh\n8) Eighth\n\n0. Zeroth\n\n999999999) Last",
    "lists within lists": "- a\n  - b\n    1. one\n    2. two\n       5. five\n- c\n\n  d\n\n  > e\n- f",
    "loose and tight lists": "1. a\n2. b\n\ntext\n\n1. c\n\n2. d\n\n   e\n\n* f\n* g\n\n- h",
    "empty list items": "- \n- a\n-\n\n1.\n2. b",
    "numbers that are no list": "It was in\n1999. And in\n2005) too. 3.5 and 10.000,00 and 1 000. §5(2)",
    "hard breaks": "a\\\nb  \nc   \nd\n\n12 Park Street\\\nLeeds",
    "code spans": "press `F5` and `` `x` `` or `a\nb` and don`t or can`t",
    "code fences": "```\n$x$ **bold**\n```\n\n~~~\nmore\n\n~~~~~~~\n\n*end*",
    "indented": "    **not code**\n\n\ttab *too*\n\n- item\n\n        deep **text**\n\n     # Heading",
    "entities": "&copy; &amp;lt; &lt;b&gt; &nbsp;x&nbsp; &#8212; &#x2014; &eacute; &unknown; &#0; &#10;x &Tab;y",
    "quotes": "> one\n> two\nlazy\n>\n> > three\n\n> # Title\n> - item\n> 1. number",
    "headings": "# One\n\n## Two #\n\n###### Six\n\nSeven\n=====\n\n#\n\n#hashtag\n\n####### no heading",
    "rules": "a\n\n---\n\nb\n\n* * *\n\nYours,\n---\nAda",
    "the end of a letter": "Yours,\n--\nAda Lovelace\n\n-- \nBen\n\nCem\n-\n\nDee\n- - -\n\nEve\n=",
    "emphasis": "un*frigging*believable snake_case_word __strong__ ***both*** *a **b* c** 5 * 3 * 2 **“quoted”**",
    "emphasis within emphasis": "*a *b *c **d **e** f** g* h* i*",
    "escapes": "\\*stars\\* \\# \\1. 1\\. \\- \\[x\\] C:\\\\park",
    "links": "[park](https://example.org/park) [*a* **b**](https://example.org 'Title') [c][d] [e] <https://example.org/x>"
    "\n\n[d]: https://example.org/d\n[e]: www.example.org/e",
    "links whose words are the address": "[https://example.org](https://example.org) [example.org](https://example.org)"
    " [ada@example.org](mailto:ada@example.org) <ada@example.org>",
    "links without a scheme": "[x](www.example.org) [y](//example.org/y) [z](example.org/z?a=b#c)",
    "unusable links": "[a](/foo) [b](foo) [c](#x) [d](javascript:alert(1)) [e](data:x) "
    "[](https://example.org) <Name:Ada>",
    "bare URLs": "See https://example.org/a_b_(c), www.example.org/d. (https://example.org/_e_/f) "
    "**http://example.org/g** or “https://example.org/h” *https://example.org/i* www.example https://",
    "images": "![a *tree*](https://example.org/tree.png) ![](https://example.org/x.png) "
    "[![a bird](/bird.png)](https://example.org) ![www.example.org](x)\n\n![](x)",
    "raw HTML": "<b>bold</b> <script>alert(1)</script> <!-- comment -->\n\n<div>\n*text*\n</div>\n\n<br>a<br/>b",
    "tables": "| a | b |\n|---|---|\n| 1 | 2 |\n\na | b\n--|--\n3 | 4",
    "Typst": '#import "x" $x$ #panic() = Heading\n\n@label <label> // x /* y */ \\u{41} ~ - + / "a" \'b\' -- --- ...',
    "pasted": "a\u2028b\u2029c\x0bd\x85e\n\u00a0\nf\n\u00a0\u00a0\u00a0\u00a0**g**\n\n-\u00a0h\n-\u2003i\n\n\u200b- j"
    "\n\n1.\u00a0k\n2.\u202fl\n\n>\u3000m\n\n#\u00a0n\n\nsoft\u00adhyphen zero\u200bwidth \ufeffmark",
    "cyrillic and greek": "Уважаемый мэр,\n\n1. *парк*\n2. **лес**\n\nΑγαπητέ δήμαρχε",
}
