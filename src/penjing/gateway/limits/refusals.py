"""What a key is told when it asked for more than it may. Codes and kinds are OpenAI's, so that its SDKs understand."""

from __future__ import annotations

from penjing.errors import AccessError


class Limited(AccessError):
    """Facts: `key`, `limit`, `seconds` (whole, until it may be tried again)."""

    template = "The API key '{key}' has reached its limit of {limit}; try again in {seconds} s."
    hint = "Ask more slowly, or ask whoever runs this server for a higher limit."
    code = "rate_limit_exceeded"
    kind = "rate_limit_error"
    status = 429


class RequestsLimited(Limited):
    """Facts: `key`, `limit`, `seconds`."""

    template = "The API key '{key}' has reached its limit of {limit} requests a minute; try again in {seconds} s."
    kind = "requests"


class TokensLimited(Limited):
    """Facts: `key`, `limit`, `wanted`, `seconds`."""

    template = (
        "The API key '{key}' has reached its limit of {limit} tokens a minute; this request may need {wanted} "
        "(its prompt and max_tokens); try again in {seconds} s."
    )
    kind = "tokens"


class TooManyAtOnce(Limited):
    """Facts: `key`, `limit`, `seconds`."""

    template = "The API key '{key}' may have {limit} requests at once; try again in {seconds} s."
    hint = "Wait for an answer before the next request."
    kind = "requests"


class BudgetSpent(Limited):
    """Facts: `key`, `limit`, `spent` (US dollars), `seconds` (until the month ends, UTC)."""

    template = "The API key '{key}' has spent its budget of this month: {spent} of {limit} US dollars."
    hint = "It begins again with the next month (UTC); whoever runs this server can give you another key."
    code = "insufficient_quota"
    kind = "insufficient_quota"


class BudgetInUse(Limited):
    """Facts: `key`, `limit`, `spent`, `seconds`."""

    template = (
        "The requests of the API key '{key}' that are being answered may use up its budget of this month ({spent} of "
        "{limit} US dollars are spent); try again in {seconds} s."
    )
    hint = TooManyAtOnce.hint


class ModelRefused(AccessError):
    """Facts: `key`, `model`, `models` (what it may ask)."""

    template = "The API key '{key}' may not ask the model '{model}'."
    hint = "It may ask: {models}"
    code = "model_not_allowed"
    kind = "permission_error"
    status = 403
