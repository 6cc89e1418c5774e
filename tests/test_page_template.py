"""A page of HTML from a template: values are text, whatever they say."""

import pytest

from aae_jax.page_template import fill


def test_values_come_where_the_template_says_and_stay_text():
    template = (
        '<html><h1 data-text="name"/><p data-if="absent">gone</p>'
        '<img data-src="picture" alt=""/><table>'
        '<tr data-each="rows"><td data-text="name"/><td data-text="page"/></tr>'
        "</table></html>"
    )
    values = {
        "name": "<script>alert(1)</script>",
        "absent": [],
        "picture": 'x" onerror="alert(1)',
        "page": "a & b",
        "rows": [{"name": "one"}, {"name": "</td>"}],
    }
    assert fill(template, values) == (
        "<!doctype html>\n<html><h1>&lt;script&gt;alert(1)&lt;/script&gt;</h1>"
        '<img alt="" src="x&quot; onerror=&quot;alert(1)"><table>'
        "<tr><td>one</td><td>a &amp; b</td></tr>"
        "<tr><td>&lt;/td&gt;</td><td>a &amp; b</td></tr></table></html>\n"
    )


def test_what_drives_terminals_or_turns_text_around_is_no_text():
    text = fill('<p data-text="name"/>', {"name": "a\x00\x1b[2J\u202eb\ud800\n"})
    assert text == "<!doctype html>\n<p>a??[2J?b??</p>\n"


def test_a_value_that_is_missing_is_our_mistake_and_not_an_empty_place():
    with pytest.raises(KeyError):
        fill('<p data-text="name"/>', {})
