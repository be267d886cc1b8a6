"""SMTP servers, each with one thing wrong, until standard input ends. Prints their ports as one line of JSON,
then what those that take everything are told behind a recipient.

Usage: serve.py FOLDER (certificates are made there; ca.pem is the authority of the good ones)
"""

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys

from aiosmtpd.smtp import SMTP, AuthResult

HERE = "127.0.0.1"
FOLDER = sys.argv[1]


def path(name):
    return os.path.join(FOLDER, name)


def openssl(*arguments):
    subprocess.run(["/usr/bin/openssl", *arguments], check=True, stderr=subprocess.DEVNULL)


CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def self_signed(name, subject, *more):
    openssl("req", "-x509", "-days", "30", "-subj", subject, *more, "-keyout", path(f"{name}.key"),
            "-out", path(f"{name}.pem"), *CURVE)


def signed(name, address, days):
    openssl("req", "-subj", "/CN=relay", "-addext", f"subjectAltName=IP:{address}", "-keyout", path(f"{name}.key"),
            "-out", path(f"{name}.csr"), *CURVE)
    openssl("x509", "-req", "-days", days, "-copy_extensions", "copy", "-in", path(f"{name}.csr"), "-CA",
            path("ca.pem"), "-CAkey", path("ca.key"), "-CAcreateserial", "-out", path(f"{name}.pem"))


def context(name):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(path(f"{name}.pem"), path(f"{name}.key"))
    return tls


def sign_in(server, session, envelope, mechanism, data):
    if (data.login, data.password) == (b"user", b"right"):
        return AuthResult(success=True, auth_data=data, message=f"235 2.7.0 {data.password.decode()} it is")
    # Servers that repeat what they were told.
    return AuthResult(success=False, handled=False, message=f"535 5.7.8 not {data.password.decode()}")


class Takes:
    async def handle_RSET(self, server, session, envelope):
        print("RSET", flush=True)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        print("DATA", flush=True)
        return "250 OK"


class RefusesSender:
    async def handle_MAIL(self, server, session, envelope, address, options):
        return "550 5.7.1 not from you"


class RefusesRecipient:
    async def handle_RCPT(self, server, session, envelope, address, options):
        return "550 5.1.1 nobody of that name"


def smtp(handler=Takes, certificate="good", **options):
    settings = {"hostname": "relay", "authenticator": sign_in}
    if certificate:
        settings["tls_context"] = context(certificate)
    return lambda: SMTP(handler(), **{**settings, **options})


async def main():
    self_signed("ca", "/CN=authority")
    self_signed("self", "/CN=relay", "-addext", f"subjectAltName=IP:{HERE}")
    signed("good", HERE, "30")
    signed("other-name", "127.0.0.9", "30")
    signed("expired", HERE, "-1")
    loop = asyncio.get_running_loop()
    ports, kept = {}, []

    async def serve(name, conversation, **options):
        server = await loop.create_server(conversation, HERE, 0, **options)
        ports[name] = server.sockets[0].getsockname()[1]
        kept.append(server)

    await serve("good", smtp())
    await serve("implicit", smtp(certificate=None, auth_require_tls=False), ssl=context("good"))
    await serve("no greeting", asyncio.Protocol)
    for certificate in ["other-name", "expired", "self"]:
        await serve(certificate, smtp(certificate=certificate))
    await serve("no STARTTLS", smtp(certificate=None))
    await serve("no AUTH", smtp(auth_exclude_mechanism=["LOGIN", "PLAIN"]))
    await serve("refuses sender", smtp(RefusesSender))
    await serve("refuses recipient", smtp(RefusesRecipient))

    closed = socket.socket()
    closed.bind((HERE, 0))
    ports["closed"] = closed.getsockname()[1]
    # Nobody accepts, and who waits for that fills the queue: further connections hang.
    silent = socket.socket()
    silent.bind((HERE, 0))
    silent.listen(0)
    ports["silent"] = silent.getsockname()[1]
    for _ in range(4):
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex(silent.getsockname())
        kept.append(waiting)
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
