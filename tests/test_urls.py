"""How addresses are shown: no password, and nothing else lost."""

import string
import time
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kinetag.urls import hide_secrets, local_path, shown_url

PRINTABLE = string.ascii_letters + string.digits + string.punctuation
schemes = st.sampled_from(["rtsp", "RTSP", "http", "https", "rtmp", "srt", "s3", "az", "postgresql"])
users = st.text(string.ascii_letters + string.digits + "._-%", max_size=6)
hosts = st.sampled_from(["10.0.0.5", "cam.example.org:554", "[fe80::1]:8554", "h"])
paths = st.sampled_from(["", "/", "/live", "/live/1?token=geheim", "/a b/@c", "/clip.mp4?sig=a@b:c/d"])


@given(schemes, users, st.text(min_size=4, max_size=12) | st.text(PRINTABLE + " ", min_size=4), hosts, paths)
def test_no_password_is_shown_whatever_it_is_made_of(scheme, user, password, host, path):
    assume(password not in f"{scheme}://***@{host}{path} ***@***")
    shown = shown_url(f"{scheme}://{user}:{password}@{host}{path}")
    assert password not in shown
    assert shown.startswith(f"{scheme}://***@")
    assert "geheim" not in shown
    assert shown_url(shown) == shown


@given(
    st.sampled_from(["", "cannot open '", "(", 'a: "', "s3://a/b and "]),
    schemes,
    users,
    st.text(PRINTABLE + " ", min_size=4, max_size=16).filter(lambda p: p[0] != " " and "://" not in p),
    hosts,
    st.sampled_from(["", ": refused", "' is gone\nask a@b", " and s3://c/d"]),
)
def test_no_password_is_left_in_a_text(before, scheme, user, password, host, after):
    assume(password not in f"{before}{scheme}://***@{host}/live{after} ***@***")
    shown = hide_secrets(f"{before}{scheme}://{user}:{password}@{host}/live{after}")
    assert password not in shown
    assert hide_secrets(shown) == shown
    assert shown.startswith(f"{before}{scheme}://***@")
    assert shown.endswith(after.lstrip(":"))


@given(st.text() | st.lists(st.sampled_from([*"@:/?#' ", "a", "://", "b@c", "\n"])).map("".join))
def test_a_text_without_addresses_stays(text):
    if not any(f"{letter}://" in text for letter in string.ascii_letters + string.digits + "+.-"):
        assert hide_secrets(text) == text
        assert shown_url(text) == text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://admin:p@ss-w0rd@127.0.0.1:9/live", "rtsp://***@127.0.0.1:9/live"),
        ("rtsp://admin:pa'ss@10.0.0.5/s", "rtsp://***@10.0.0.5/s"),
        ("rtsp://admin:pa/ss@10.0.0.5/s", "rtsp://***@10.0.0.5/s"),
        ("rtsp://admin:pa#ss@host/s", "rtsp://***@host/s"),
        ("rtsp://u:p w@h/", "rtsp://***@h/"),
        ("rtsp://u:12/34@h/s", "rtsp://***@h/s"),
        ("rtsp://corp\\me:pass@h/s", "rtsp://***@h/s"),
        ("rtsp://corp/me:pass@h/s", "rtsp://***@h/s"),
        ("https://token@host/x", "https://***@host/x"),
        ("rtsp://10.0.0.5/user=admin&password=geheim&channel=1", "rtsp://10.0.0.5/user=admin&password=***&channel=1"),
        ("http://host:8000/x?token=abc@def", "http://***@***"),  # the '@' may be of the token
        ("https://host/x?token=a'b c", "https://host/x?***"),
        ("https://host/x?t=1@2", "https://host/x?***"),
    ],
)
def test_what_is_hidden(url, shown):
    assert shown_url(url) == shown
    assert shown_url(shown) == shown


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/me@example.org/12:30 clip@home.mp4",
        "gs://bucket/a b.npy",
        "rtsp://cam:554/live",
        "http://[::1]:8080/a.mp4",
        "udp://@239.0.0.1:1234",
        "https://host/@me/clip.mp4",
        "clips/me@home.mp4",
        "C:\\clips\\a@b.mp4",
    ],
)
def test_what_holds_no_secret_is_shown_as_it_is(url):
    assert shown_url(url) == url
    assert hide_secrets(f"no such file: {url}") == f"no such file: {url}"


def test_what_a_store_says_of_its_users_is_no_secret():
    said = "listing s3://bucket: refused (User: arn:aws:iam::123:user/me@corp.com may not)"
    assert hide_secrets(said) == said


def test_a_hostile_name_takes_no_time():
    began = time.perf_counter()
    for text in ("a://" * 1000, "a://" + ":" * 4000, "a://:" + "@ b://" * 700, "a" * 4000 + "://", "a://?" * 800):
        hide_secrets(text)
        shown_url(text)
    assert time.perf_counter() - began < 2.0


def test_a_file_s_address_is_a_path_of_this_machine():
    assert local_path("file:///clips/my%20squat.mp4") == Path("/clips/my squat.mp4")
    assert local_path("/clips/100%20.mp4") == Path("/clips/100%20.mp4")  # a name, no address
    assert local_path(Path("a%20b")) == Path("a%20b")
