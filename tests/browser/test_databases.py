"""Signing in a real browser on both databases; test_sign.py covers the details on SQLite."""

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, fill
from tests.conftest import stored


def test_signature_appears_for_the_signer_and_in_another_tab(open_page: OpenPage) -> None:
    watching = open_page()
    for script, name in ((True, "Ada Lovelace"), (False, "Grace Hopper")):
        page = open_page(script=script)
        fill(page, name=name, email=f"{name[:3]}@example.org".lower(), postal_code="90012")
        page.get_by_role("button", name="Take Action").click()
        expect(page.get_by_role("heading", name="Thank You!")).to_be_visible()
        expect(page.locator("#recent li").first).to_contain_text(name)
        expect(page.locator("#recent li").first).to_contain_text("Los Angeles, California, US")
    expect(watching.locator("#count strong")).to_have_text("2", timeout=25_000)
    assert [signature.name for signature in stored()] == ["Ada Lovelace", "Grace Hopper"]
