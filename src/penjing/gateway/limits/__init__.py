"""How much a key may ask for: a minute's worth of requests and tokens, requests at once, a month's money."""
