from penjing.plan import devices, speed
from penjing.plan.speed import Load
from planned_models import llama

PHONE = devices.expected(devices.find("Snapdragon 8 Gen 3"))
SEVEN = llama(32, 4096, 32, 32, 11008, bytes=3_800_000_000, parameters=6_700_000_000, quantization="Q4_0")


def test_decode_is_bound_by_the_memory() -> None:
    found = speed.predict(SEVEN, PHONE)
    ceiling = PHONE.bandwidth / SEVEN.bytes
    assert found.assumed
    assert 0.6 * ceiling < found.decode_tokens_per_s.likely < ceiling


def test_the_interval_is_around_the_likely() -> None:
    found = speed.predict(SEVEN, PHONE, Load(context_tokens=4096, together=4)).decode_tokens_per_s
    assert 0 < found.low < found.likely < found.high
