"""A page of HTML filled with values, which stay text whatever they say.

A template is well-formed HTML in which attributes tell what comes where:

  data-text="name"  the element's text is this value
  data-src="name"   its src is this value
  data-if="name"    it is there if this value is neither empty nor false
  data-each="name"  it is there once for each table of values in this list

Values of an outer element are seen inside, too. Elements are filled, never pasted as
text, so that a value cannot add any.
"""

import base64
from collections.abc import Mapping
from copy import deepcopy
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from aae_jax.messages import printable


def fill(template: str, values: Mapping[str, Any]) -> str:
    """The page that a template and its values make.

    Raises:
      KeyError: the template names a value that is not there.
    """
    page = ElementTree.fromstring(template)
    _fill(page, values)
    text = ElementTree.tostring(page, encoding="unicode", method="html")
    return f"<!doctype html>\n{text}\n"


def data_uri(png: bytes) -> str:
    """A picture as the address of itself, so that a page has it inside."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _fill(element: Element, values: Mapping[str, Any]) -> None:
    if (name := element.attrib.pop("data-text", None)) is not None:
        element.text = printable(str(values[name]))
    if (name := element.attrib.pop("data-src", None)) is not None:
        element.set("src", values[name])
    filled: list[Element] = []
    for child in element:
        filled += _filled(child, values)
    element[:] = filled


def _filled(child: Element, values: Mapping[str, Any]) -> list[Element]:
    """What stands in place of an element of the template: nothing, one or more."""
    needed, each = child.attrib.pop("data-if", None), child.attrib.pop("data-each", "")
    if needed is not None and not values[needed]:
        return []
    copies = []
    for own in values[each] if each else ({},):
        copies.append(deepcopy(child))
        _fill(copies[-1], {**values, **own})
    return copies
