"""Helpers for the desk's pages in a browser.

Controls are found by field name or by the path that a form posts to, so that a test still works after a label changes.
That every field has a label is checked by axe-core (`violations`).
"""

from flask import Flask
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage, check_windows
from tests.conftest import Server
from tests.desk.people import PASSWORD, AtDesk, Person, invitation

FAULTY_CELLS = """() => [...document.querySelectorAll("main .table")].flatMap((table) => {
  const headings = [...table.querySelectorAll("thead th")].map((heading) => heading.textContent.trim());
  const cells = [...table.querySelectorAll("tbody tr")].flatMap((row) => {
    // A single number stands beside its name, without a label.
    const isSingle = row.querySelectorAll("td").length === 1;
    return [...row.cells].map((cell, column) => [cell, isSingle ? "" : headings[column]]);
  });
  return cells
    .filter(([cell, heading]) => {
      const label = getComputedStyle(cell, "::before").content.slice(1, -1);
      const labeled = !heading || cell.matches("th, :has(input)") || (label && heading.startsWith(label));
      const { left, right } = cell.getBoundingClientRect();
      return !labeled || left < 0 || right > innerWidth || cell.scrollWidth > cell.clientWidth;
    })
    .map(([cell]) => cell.outerHTML);
})"""
"""Return the cells of tables that lack the heading of their column, or don't fit the window of a phone."""


def field(page: Page, name: str) -> Locator:
    """Return the visible control with this field name."""
    return page.locator(f"[name='{name}']:visible")


def submit(page: Page, name: str) -> None:
    """Submit the form that has the field of this name, with the form's own button."""
    form = page.locator("form", has=field(page, name))
    form.locator("button:not([formaction]):visible").first.click()


def button(page: Page, path: str) -> Locator:
    """Return the visible buttons that post to a path with this ending."""
    own, form = f"button[formaction$='{path}']", f"form[action$='{path}'] button:not([formaction])"
    return page.locator(f"{own}:visible, {form}:visible")


def link(page: Page, path: str) -> Locator:
    """Return the link in the page's main part that leads to a path with this ending."""
    return page.locator(f"main a[href$='{path}']")


def save(page: Page, **fields: str) -> None:
    """Fill in fields of the campaign form, and save it."""
    for name, text in fields.items():
        field(page, name).fill(text)
    page.locator("#editor .save button:not([formaction])").click()


def press(page: Page, do: str) -> None:
    """Press a button of the campaign form, such as `publish`, which saves the form first."""
    page.locator(f"#editor button[name=do][value={do}]").click()


def confirm(page: Page) -> None:
    """Press the button of a page that asks to confirm a step, such as closing a campaign."""
    page.locator("main form .save").get_by_role("button").click()


def accept(page: Page) -> None:
    """Accept an invitation."""
    field(page, "name").fill("Grace Hopper")
    field(page, "password").fill(PASSWORD)
    field(page, "again").fill(PASSWORD)
    submit(page, "again")


def enter_password(page: Page, person: Person) -> None:
    """Fill in and submit the sign-in form."""
    field(page, "email").fill(person.email)
    field(page, "password").fill(PASSWORD)
    submit(page, "password")


def begin_app_setup(page: Page, person: Person) -> None:
    """Choose an authenticator app as the second factor, and read its key."""
    page.locator("button[name=setup]").click()
    person.key = page.locator("#key").inner_text().replace("-", "")


def set_up_app(page: Page, person: Person) -> None:
    """Set up an authenticator app with its first code."""
    begin_app_setup(page, person)
    field(page, "code").fill(person.code())
    submit(page, "code")


def make_recovery_codes(page: Page) -> None:
    """Press the button that makes recovery codes, and wait for the codes."""
    page.locator("button[name=generate_new_codes]").click()
    expect(page.locator(".codes li")).to_have_count(10)


def sign_out(page: Page) -> None:
    """Press the sign-out button in the page's header."""
    button(page, "/sign-out").click()


def join(page: Page, app: Flask, server: Server, email: str = "grace@example.org", role: str = "admin") -> Person:
    """Accept an invitation and sign in. The browser then shows the page of recovery codes."""
    person = Person(email)
    page.goto(server.url + invitation(app, person.email, role))
    accept(page)
    enter_password(page, person)
    set_up_app(page, person)
    expect(page.locator("button[name=generate_new_codes]")).to_be_visible()
    return person


def open_signed_in(open_page: OpenPage, server: Server, client: AtDesk, **options: object) -> Page:
    """Open a browser with the session cookie of a test client that has signed in."""
    page = open_page(f"{server.url}/desk/sign-in", desk=True, **options)
    cookie = client.get_cookie("desk", path="/desk")
    assert cookie
    page.context.add_cookies([{"name": "desk", "value": cookie.value, "domain": server.name, "path": "/desk"}])
    return page


def check_accessible(page: Page) -> None:
    """Check that the page fits a laptop and a phone, and is accessible on both.

    On a phone, each row of a table is a card that repeats the headings of the columns.
    """
    check_windows(page)
    faulty = page.evaluate(FAULTY_CELLS)
    assert not faulty, f"{page.url}: {faulty}"
