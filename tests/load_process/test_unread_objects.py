from load_process.refusals import UnreadObjects


def test_a_cause_is_news_once_for_each_object_until_it_is_read() -> None:
    unread = UnreadObjects()
    seen = [("a", "silent"), ("a", "silent"), ("a", "refused"), ("b", "silent"), ("a", "silent"), ("a", "refused")]
    assert [unread.is_news(key, cause) for key, cause in seen] == [True, False, True, True, False, False]
    unread.discard("a")
    unread.discard("never unread")
    assert unread.keys() == ["b"]
    assert unread.is_news("a", "silent")


def test_very_many_unread_objects_are_bounded() -> None:
    unread = UnreadObjects()
    assert all(unread.is_news(str(number), "silent") for number in range(10_500))
    assert (len(unread.keys()), unread.keys()[0]) == (10_000, "500")
