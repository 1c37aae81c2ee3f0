"""Markdown of a model becomes elements; everything else that it writes stays text."""

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("playwright.sync_api")

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](data:text/html,<script>alert(1)</script>)",
    "[click](vbscript:x)",
    "[click](/v1/models)",
    "![x](https://evil.example/x.png)",
    "<a href='javascript:alert(1)'>x</a>",
    '```"><img src=x onerror=alert(1)>\ncode\n```',
    "| <img src=x onerror=alert(1)> |\n|---|\n| <svg/onload=alert(1)> |",
    '[x](https://a.example/" onmouseover="alert(1))',
    "# <iframe srcdoc='<script>alert(1)</script>'>",
    "> <b onclick=alert(1)>x</b>",
    "- <style>*{display:none}</style>",
]

TAGS = {
    "p",
    "pre",
    "code",
    "figure",
    "figcaption",
    "span",
    "button",
    "svg",
    "use",
    "a",
    "em",
    "strong",
    "div",
    "h2",
    "h4",
}
TAGS |= {"blockquote", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_stay_text(page, attack):
    answer = page.ask(attack, "echo")
    found = answer.evaluate(
        """(element) => ({
            tags: [...new Set([...element.querySelectorAll(".markdown *")].map((each) => each.tagName.toLowerCase()))],
            links: [...element.querySelectorAll("a")].map((each) => each.href),
            handlers: [...element.querySelectorAll("*")].flatMap((each) => each.getAttributeNames())
                .filter((name) => name.startsWith("on")),
        })"""
    )
    assert set(found["tags"]) <= TAGS
    assert all(link.startswith("https://") for link in found["links"])
    assert found["handlers"] == []


def html_of(page, source):
    """Return the HTML of the Markdown elements, without classes and the button of a code block."""
    answer = page.ask(source, "echo")
    return answer.locator(".markdown").evaluate(
        """(element) => {
            const names = ["class", "dir", "tabindex", "aria-label", "target", "rel"];
            const copy = element.cloneNode(true);
            copy.querySelectorAll("button").forEach((each) => each.remove());
            for (const each of copy.querySelectorAll("*"))
                for (const name of names) each.removeAttribute(name);
            return copy.innerHTML;
        }"""
    )


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("a **b** c", "<p>a <strong>b</strong> c</p>"),
        ("*a* _b_ ~~c~~ `d`", "<p><em>a</em> <em>b</em> <s>c</s> <code>d</code></p>"),
        ("snake_case_name 2 * 3 * 4", "<p>snake_case_name 2 * 3 * 4</p>"),
        ("**bold *and* more**", "<p><strong>bold <em>and</em> more</strong></p>"),
        (r"\*not\* `a*b*`", "<p>*not* <code>a*b*</code></p>"),
        ("# One\ntext", "<h2>One</h2><p>text</p>"),
        ("- a\n- b", "<ul><li><span>a</span></li><li><span>b</span></li></ul>"),
        ("3. a\n4. b", '<ol start="3"><li><span>a</span></li><li><span>b</span></li></ol>'),
        (
            "1. a\n   - b\n   - c\n2. d",
            "<ol><li><span>a</span><ul><li><span>b</span></li><li><span>c</span></li></ul></li>"
            "<li><span>d</span></li></ol>",
        ),
        ("> a\n> b", "<blockquote><p>a\nb</p></blockquote>"),
        ("---", "<hr>"),
        (
            "```\nlet a = '<b>';\n```",
            "<figure><figcaption><span>text</span></figcaption><pre><code>let a = '&lt;b&gt;';</code></pre></figure>",
        ),
        (
            "```\nnot closed",
            "<figure><figcaption><span>text</span></figcaption><pre><code>not closed</code></pre></figure>",
        ),
        ("[a](https://b.example/c_(d))", '<p><a href="https://b.example/c_(d)">a</a></p>'),
        ("see https://b.example/c.", '<p>see <a href="https://b.example/c">https://b.example/c</a>.</p>'),
        (
            "| a | b |\n|:-|-:|\n| 1 | 2 |",
            "<div><table><thead><tr><th>a</th><th>b</th></tr></thead>"
            "<tbody><tr><td>1</td><td>2</td></tr></tbody></table></div>",
        ),
        ("text\n- item", "<p>text</p><ul><li><span>item</span></li></ul>"),
        (r"\(a_b * c_d\) and $x_1*y_1$, $z$", "<p><code>a_b * c_d</code> and <code>x_1*y_1</code>, <code>z</code></p>"),
        ("$$\na_1\n- b_1\n$$\nthen", "<pre>a_1\n- b_1</pre><p>then</p>"),
        (r"\[ a * b * c \]", "<pre>a * b * c</pre>"),
        ("$$\nnot closed *a*", "<pre>not closed *a*</pre>"),
        ("$$a$$ is *b* and $$c$$", "<p><code>a</code> is <em>b</em> and <code>c</code></p>"),
        ("$5 to $6, US$7, 8$ or $HOME and $PATH", "<p>$5 to $6, US$7, 8$ or $HOME and $PATH</p>"),
        ("a &lt;b&gt; &amp;amp; &#65;&#x42;&#0; &nope;", "<p>a &lt;b&gt; &amp;amp; AB\ufffd &amp;nope;</p>"),
    ],
)  # fmt: skip
def test_markdown(page, source, html):
    assert html_of(page, source) == html


def test_directions(page):
    hebrew = "\u05e9\u05dc\u05d5\u05dd"  # it is read from right to left
    answer = page.ask(
        f"Left\n\n{hebrew} `a`\n\n- {hebrew}\n\n```\nlet a = '{hebrew}';\n```\n\n"
        f"> {hebrew}\n\n| {hebrew} | b |\n|---|---|\n| 1 | 2 |\n\n1. - {hebrew}\n\n> Left {hebrew}",
        "echo",
    )
    found = answer.locator(".markdown").evaluate(
        "(element) => [...element.children].map((each) => getComputedStyle(each).direction)"
    )
    assert found == ["ltr", "rtl", "rtl", "ltr", "rtl", "rtl", "rtl", "ltr"]


def test_code_is_copied(page, context, expect):
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = page.ask("```python\nprint('<hi>')\n```", "echo")
    answer.get_by_role("button", name="Copy the code").click()
    expect(answer.locator(".tool.done")).to_be_visible()
    assert page.tab.evaluate("navigator.clipboard.readText()") == "print('<hi>')"


def test_odd_texts_are_quick(page):
    sources = [
        "*" * 5000,
        "[" * 5000,
        "> " * 2000 + "x",
        "`" * 5001,
        "- " * 3000,
        "_a" * 5000,
        "**a" * 3000,
        "|" * 5000,
        "[a](" * 2000,
        "\\(" * 5000,
        "$a" * 5000,
        "$$a\n" * 2000,
    ]
    seconds = page.tab.evaluate(
        """async (sources) => {
            const { blocks, node } = await import("/page/markdown.js");
            const start = performance.now();
            sources.forEach((source) => blocks(source).map((block) => node(block)));
            return (performance.now() - start) / 1000;
        }""",
        sources,
    )
    assert seconds < 10


def test_colours_change_nothing_in_the_code(page):
    code = 'def f(a, b="<b>"):  # a "comment"\n    return print(a + 0x1F)\n\n"""doc\n# inside"""'
    answer = page.ask(f"```python\n{code}\n```", "echo")
    assert answer.locator("pre").text_content() == code
    found = answer.evaluate("(e) => [...e.querySelectorAll('pre span')].map((s) => [s.className, s.textContent])")
    assert found == [
        ["code-keyword", "def"],
        ["code-call", "f"],
        ["code-string", '"<b>"'],
        ["code-comment", '# a "comment"'],
        ["code-keyword", "return"],
        ["code-call", "print"],
        ["code-number", "0x1F"],
        ["code-string", '"""doc\n# inside"""'],
    ]
