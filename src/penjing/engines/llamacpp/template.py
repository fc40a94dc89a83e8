"""What a chat template does when nobody says whether to think.

llama.cpp sets `enable_thinking` to true for every template that knows the word, also for one whose own default is
not to think. The template is asked instead: rendered without the word, with true and with false.

Does not know: how the answer reaches the library (`worker`).
"""

from __future__ import annotations

SWITCH = "enable_thinking"
QUESTION = ({"role": "user", "content": "?"},)


def silent_by_default(template: str) -> bool:
    """Whether a request that does not mention `enable_thinking` is answered without thinking.

    A template that fails here, or that the word does not change, leaves the library's own way: False.
    """
    if SWITCH not in template:
        return False
    from jinja2 import TemplateError

    from penjing.shrink.texts.template import compiled

    try:
        page = compiled(template)
        plain, on, off = (
            page.render(messages=QUESTION, add_generation_prompt=True, bos_token="", eos_token="", **switch)
            for switch in ({}, {SWITCH: True}, {SWITCH: False})
        )
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError):
        return False
    return plain == off != on
