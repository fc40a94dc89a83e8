"""Which engine answers: facts about a request, rules that decide by them, engines tried in turn."""
