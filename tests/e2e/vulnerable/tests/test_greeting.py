from app import greeting


def test_it_greets_by_name() -> None:
    assert greeting("Ada") == "hello Ada"
