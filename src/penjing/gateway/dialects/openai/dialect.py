"""OpenAI's dialect, as it is registered."""

from penjing.gateway.dialects.dialect import Dialect
from penjing.gateway.dialects.openai.endpoints import ENDPOINTS, refusal
from penjing.gateway.dialects.openai.pages import PAGES

DIALECT = Dialect("openai", refusal, ENDPOINTS, PAGES)
