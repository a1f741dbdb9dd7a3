"""The stand-in for a mail server: real SMTP in, a page with the messages out."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest
import requests

from sandbox.mail import Server
from sandbox.mail.mailbox import KEPT, Mailbox

HTML = "<p>Hello <b>Bob</b></p><script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


def send(server: Server, subject: str = "Hello Bob", to: str = "bob@acme.example") -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "cs@acme.example", to
    message.set_content("Hello Bob, see http://127.0.0.1:8000/promotions/1/ now. <i>")
    message.add_alternative(HTML, subtype="html")
    with smtplib.SMTP("127.0.0.1", server.smtp_port, timeout=5) as client:
        client.send_message(message)


def kept(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = requests.get(f"{server.url}/_sandbox/messages", timeout=5).json()[
        "messages"
    ]
    return found


def page(server: Server, path: str = "/") -> str:
    answer = requests.get(f"{server.url}{path}", timeout=5)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    return answer.text


def test_the_newest_first_and_one_opened(server: Server) -> None:
    assert "No mail yet" in page(server)
    send(server, "One <b>")
    send(server, "Two", "carol@acme.example")
    listed = page(server)
    assert listed.index("Two") < listed.index("One &lt;b&gt;") and "carol@acme.example" in listed
    assert [each["subject"] for each in kept(server)] == ["One <b>", "Two"]
    first, _ = kept(server)
    assert first["to"] == ["bob@acme.example"] and first["html"].strip() == HTML

    opened = page(server, f"/messages/{first['id']}")
    assert '<a href="http://127.0.0.1:8000/promotions/1/"' in opened and "&lt;i&gt;" in opened
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in opened
    assert "<script>" not in opened and "<img" not in opened, "its HTML is in the frame only"
    assert 'srcdoc="&lt;base target=&#34;_blank&#34;&gt;&lt;p&gt;Hello &lt;b&gt;Bob' in opened
    assert "not kept any more" in page(server, "/messages/99")


def test_forgotten_by_button_or_delete(server: Server) -> None:
    send(server)
    requests.post(f"{server.url}/clear", timeout=5)
    assert kept(server) == []
    send(server)
    requests.delete(f"{server.url}/_sandbox/messages", timeout=5)
    assert kept(server) == []


def test_only_some_hundred_are_kept() -> None:
    mailbox = Mailbox()
    for _ in range(KEPT + 20):
        mailbox.keep("a@x", ["b@x"], b"Subject: s\r\n\r\nx")
    assert len(mailbox.messages) == KEPT and mailbox.find(20) is None and mailbox.find(21)


def test_refusing_for_a_while(server: Server) -> None:
    asked = {"fault": "refuse", "times": 2}
    assert requests.post(f"{server.url}/_sandbox/faults", json=asked, timeout=5).ok
    for _ in range(2):
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            send(server)
    send(server)
    assert len(kept(server)) == 1
    unknown = {"fault": "eat_it"}
    answer = requests.post(f"{server.url}/_sandbox/faults", json=unknown, timeout=5)
    assert answer.status_code == 400 and "refuse_sign_in" in answer.json()["error"]


def test_accepted_then_dropped(server: Server) -> None:
    server.mailbox.set_fault("drop_after_data", 1, "")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(server)
    assert len(kept(server)) == 1
    send(server)
    assert len(kept(server)) == 2


def test_a_stopped_one_refuses_and_its_port_is_free_again(server: Server) -> None:
    with Server() as other:
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", other.smtp_port), timeout=5)
    with Server(other.smtp_port) as again:
        send(again)
        assert len(kept(again)) == 1
