#!/usr/bin/env python3
"""A mail server on loopback with STARTTLS and AUTH that keeps what it gets.

usage: smtp_sink.py PORT_FILE LOG CERT KEY USER PASSWORD

Each mail is a line of JSON in LOG: its envelope, headers as they came, and the decoded body.
"""
import asyncio
import email
import email.policy
import json
import os
import ssl
import sys
import time

from aiosmtpd.smtp import SMTP, AuthResult

port_file, log, cert, key, user, password = sys.argv[1:7]


class Handler:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        line = json.dumps({
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None,
            "login": bool(session.authenticated), "headers": [[k, str(v)] for k, v in mail.items()],
            "raw": envelope.content.decode("utf-8", "replace"), "body": mail.get_content(),
            "at": time.time()})
        with open(log, "a") as f:
            f.write(line + "\n")
        return "250 kept"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 ok"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=good, handled=False if not good else True)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)

async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Handler(), hostname="localhost", tls_context=context,
                     authenticator=authenticate, auth_required=True, auth_require_tls=True,
                     require_starttls=True), "127.0.0.1", 0)
    with open(port_file + ".new", "w") as f:
        f.write(str(server.sockets[0].getsockname()[1]))
    os.rename(port_file + ".new", port_file)
    await server.serve_forever()


asyncio.run(main())
