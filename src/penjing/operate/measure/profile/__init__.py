"""Where the time goes: what each operation of prefill and decode takes on the real engine."""
