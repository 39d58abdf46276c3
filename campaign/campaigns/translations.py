"""Translations: a campaign's texts in other languages. Each language has a page of its own.

The slug, the goal, the times, the list, and the count are shared. A text that isn't translated is shown in the main
language, which has the empty tag here.
"""

from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm.attributes import set_committed_value

from campaign.campaigns.fields import TEXTS, CampaignFile
from campaign.campaigns.letter.cleaning import cleaned
from campaign.languages import catalogs
from campaign.languages.locales import locale
from campaign.models.campaign import Campaign, Translation

SIGNED = ("title", "addressees", "letter")
"""The texts that people sign."""

OUTDATED = "outdated"
"""Takes the place of a digest for a translation that was made beside other main texts, which nobody knows anymore."""

Texts = Mapping[str, Mapping[str, str]]
"""Translations by language tag, and in each the translated texts by name."""


def find(campaign: Campaign, tag: str) -> Translation | None:
    """Return the campaign's translation into a language, or None. The case of the tag doesn't matter."""
    return next((each for each in campaign.translations if each.language.casefold() == tag.casefold()), None)


def edition(campaign: Campaign, tag: str) -> Campaign | None:
    """Return the campaign with its texts in a language; None if there is no such translation.

    In another language than the main one, the result is a copy: `language` is its language, and `untranslated` names
    the texts that are in the main language.
    """
    if tag.casefold() in ("", campaign.language.casefold()):
        return campaign
    translation = find(campaign, tag)
    if translation is None:
        return None
    # The front page loads only some texts.
    loaded = [text for text in TEXTS if text not in inspect(translation).unloaded]
    return edition_with(campaign, translation.language, {text: getattr(translation, text) for text in loaded})


def edition_with(campaign: Campaign, tag: str, texts: Mapping[str, Any]) -> Campaign:
    """Return a copy of the campaign with these texts in the language of a translation. Blank ones aren't translated."""
    translated = {text: value for text, value in texts.items() if value}
    copy = copy_of(campaign, **translated, language=tag)
    if "title" in translated and "share_text" not in translated:
        # Then the title is shared, in the language of the page.
        copy.share_text = ""
    copy.tag, copy.main_language = tag, campaign.language
    copy.untranslated = frozenset(TEXTS) - translated.keys()
    return copy


def copy_of(campaign: Campaign, **changes: Any) -> Campaign:
    """Return a copy of a campaign, with these columns changed. It isn't stored."""
    columns = {column.key: getattr(campaign, column.key) for column in inspect(Campaign).column_attrs}
    copy = Campaign(**columns | changes)
    # Reading what isn't loaded would be an error, or a query for each campaign.
    unloaded = inspect(campaign).unloaded
    for related in ("letter_changes", "translations"):
        if related not in unloaded:
            set_committed_value(copy, related, getattr(campaign, related))
    copy.tag, copy.main_language, copy.untranslated = campaign.tag, campaign.main_language, campaign.untranslated
    return copy


def best_edition(campaign: Campaign, language: str) -> Campaign:
    """Return the campaign in the language of a page that belongs to no campaign, or else in its main language.

    For a page in "es", a campaign in "es-MX" is next best.
    """
    tags = [campaign.language, *(each.language for each in campaign.translations)]
    fitting = (tag for tag in (language, *tags) if tag in tags and catalogs.offered(tag) == catalogs.offered(language))
    return edition(campaign, next(fitting, "")) or campaign


def editions(campaign: Campaign) -> list[tuple[str, str]]:
    """Return the tag in the URL and the language of each edition of a campaign, the main language first."""
    main = campaign.main_language or campaign.language
    return [("", main), *((each.language, each.language) for each in campaign.translations)]


def own_name(language: str) -> str:
    """Return the name of a language in this language, such as "Español", in uppercase as in a list."""
    name = locale(language).get_display_name() or language
    return name[:1].upper() + name[1:]


def english_name(language: str) -> str:
    """Return the English name of a language, such as "Portuguese (Brazil)"."""
    return locale(language).get_display_name(catalogs.SOURCE) or language


def checked_tag(tag: str, main_language: str) -> str:
    """Return the tag of a translation's language in its usual spelling, such as pt-BR for pt-br.

    Raises:
        ValueError: It is no language tag, or the site or the main language doesn't allow it.
    """
    known = catalogs.usual_tag(tag)
    if not tag:
        raise ValueError("Choose a language")
    if known is None:
        raise ValueError(f"Use a language tag, such as es or pt-BR, not “{tag[:20]}”")
    if known.casefold() == main_language.casefold():
        raise ValueError(f"The campaign’s own language is {english_name(known)}. Choose a different language")
    if catalogs.offered(known) is None:
        raise ValueError(f"The site isn’t translated into {english_name(known)} yet. Choose a language that it has")
    return known


def texts_of(source: Campaign | CampaignFile) -> Texts:
    """Return the translated texts of a campaign."""
    if isinstance(source, CampaignFile):
        return source.translations
    return {
        each.language: {text: value for text in TEXTS if (value := getattr(each, text))} for each in source.translations
    }


def signed_texts(source: Campaign | CampaignFile, changes: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the text that people sign by language tag, as they read it; the main language has the empty tag.

    It has the title, the addressees if any, and the letter, with empty lines between.

    Args:
        source: The campaign.
        changes: New values of some of its fields.
    """
    main: dict[str, str] = {text: (changes or {}).get(text, getattr(source, text)) for text in SIGNED}
    translated: Texts = (changes or {}).get("translations", texts_of(source))
    return {
        tag: "\n\n".join(cleaned(part) for text in SIGNED if (part := texts.get(text) or main[text]))
        for tag, texts in {"": main, **translated}.items()
    }


def is_older(campaign: Campaign, translation: Translation) -> bool:
    """Return whether a main text has changed since the translation was last saved."""
    return translation.original != digest(campaign)


def digest(campaign: Campaign) -> str:
    """Return the SHA-256 of the main texts, in hexadecimal."""
    return sha256("\0".join(getattr(campaign, text) for text in TEXTS if text != "donate_url").encode()).hexdigest()


# Edits of a campaign name a column of a translation by its language and text, such as "es.title". So the audit log,
# automatic saves, and merges work for translations as they do for the campaign's own columns.


def column(tag: str, text: str) -> str:
    """Return the name of a translated text among a campaign's columns, such as "es.title"; `text` in the main one."""
    return f"{tag}.{text}" if tag else text


def columns_of(file: CampaignFile, campaign: Campaign | None = None) -> dict[str, Any]:
    """Return the columns of a campaign file, with those of its translations.

    Columns of the stored `campaign`'s translations that the file doesn't have are blank.
    """
    stored = {
        column(tag, text): "" for tag, texts in (texts_of(campaign) if campaign else {}).items() for text in texts
    }
    translated = {column(tag, text): value for tag, texts in file.translations.items() for text, value in texts.items()}
    return {**file.columns(), **stored, **translated}


def get(campaign: Campaign, name: str) -> Any:
    """Return the value of a column, which may be a translation's."""
    tag, _, text = name.rpartition(".")
    if not tag:
        return getattr(campaign, name)
    translation = find(campaign, tag)
    return getattr(translation, text) if translation else ""


def put(campaign: Campaign, values: Mapping[str, Any]) -> None:
    """Set columns, which may be translations'. A translation without any text is deleted."""
    for name, value in values.items():
        tag, _, text = name.rpartition(".")
        if not tag:
            setattr(campaign, name, value)
            continue
        translation = find(campaign, tag)
        if translation is None:
            translation = Translation(language=tag, **dict.fromkeys(TEXTS, ""), original="")
            campaign.translations.append(translation)
        setattr(translation, text, value)
    for each in list(campaign.translations):
        if not any(getattr(each, text) for text in TEXTS):
            campaign.translations.remove(each)


def mark_as_current(campaign: Campaign, originals: Mapping[str, str], tags: Collection[str] = ()) -> None:
    """Note the main texts with which translations were saved: those with these tags, and all new ones.

    `originals` has the digest of the main texts that an editor saw, by tag. By default, they are as they are now.
    """
    for each in campaign.translations:
        if each.language in tags or not each.original:
            each.original = originals.get(each.language) or digest(campaign)


def with_stored(file: CampaignFile, campaign: Campaign | None) -> CampaignFile:
    """Return a campaign file with the stored translations that it lacks."""
    stored = texts_of(campaign) if campaign else {}
    return file.with_values({"translations": {**stored, **file.translations}})


def as_file(file: CampaignFile, tag: str) -> CampaignFile:
    """Return a translation as a campaign of its own, in which texts that aren't translated are blank."""
    texts = file.translations.get(tag, {})
    return file.with_values({text: texts.get(text, "") for text in TEXTS} | {"language": tag, "translations": {}})


def with_translation(file: CampaignFile, tag: str, texts: Mapping[str, Any]) -> CampaignFile:
    """Return a campaign with these texts as its translation into a language. Blank texts aren't translated."""
    others = {other: values for other, values in file.translations.items() if other != tag}
    translated = {text: str(texts[text]) for text in TEXTS if texts.get(text)}
    return file.with_values({"translations": {**others, tag: translated} if translated else others})
