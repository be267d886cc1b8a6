"""The sandbox's SMTP server: a real one (aiosmtpd) that wants STARTTLS and a password, and keeps what it takes.

Each message becomes one JSON file in FOLDER/received: who sent it to whom, and its text; beside it lies a file that ends in
`.acknowledged` once the sender has been told. While they are there,
`FOLDER/refuse` holds an answer, such as `451 4.3.0 not now`, that every message gets;
`FOLDER/fail` a stage and an answer, such as `rcpt 451 4.3.0 not now`, or in its place `drop`, which ends the connection, or
`stall`, which lets the sender wait until they leave; stages are `greeting`, `ehlo`, `starttls`, `handshake` (of TLS), `auth`,
`mail`, `rcpt`, `data`, `dot`, when the message is there and not kept, and `taken`, when it is kept already; `ehlo strip` offers no
STARTTLS;
`FOLDER/delay` seconds between keeping a message and saying so.
Started while `FOLDER/implicit` is there it speaks TLS from the first byte.
"""

import argparse
import asyncio
import itertools
import json
import logging
import os
import ssl

from aiosmtpd import smtp
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

# As other servers do. Postfix says it when EHLO has failed, and must not get a refusal for good.
smtp.ALLOWED_BEFORE_STARTTLS = {*smtp.ALLOWED_BEFORE_STARTTLS, "HELO"}


class Keeper:
    def __init__(self, folder):
        self.folder = folder
        self.received = os.path.join(folder, "received")
        os.makedirs(self.received, exist_ok=True)
        self.numbers = itertools.count(len(os.listdir(self.received)))

    def order(self, name):
        try:
            with open(os.path.join(self.folder, name)) as file:
                return file.read().strip()
        except FileNotFoundError:
            return ""

    async def handle_DATA(self, server, session, envelope):
        refusal = self.order("refuse")
        if refusal:
            return refusal
        if await server.fails("dot"):
            server.said = True
            return "451 4.3.0 said already"
        path = os.path.join(self.received, f"{next(self.numbers):04}.json")
        with open(path + ".new", "w") as file:
            json.dump(
                {
                    "from": envelope.mail_from,
                    "to": envelope.rcpt_tos,
                    "tls": server.transport.get_extra_info("ssl_object") is not None,
                    "user": (session.auth_data.login or b"").decode(),
                    "data": envelope.content.decode(),
                },
                file,
            )
        os.rename(path + ".new", path)
        delay = self.order("delay")
        if delay:
            await asyncio.sleep(float(delay))
        server.kept = path
        return "250 2.0.0 taken"


class Conversation(SMTP):
    greeted = False
    kept = None
    # The answer to what is read has been given already.
    said = False

    async def fails(self, stage):
        wanted, _, answer = self.event_handler.order("fail").partition(" ")
        if wanted != stage:
            return False
        if answer == "drop":
            self.transport.abort()
        elif answer == "stall":
            # Ended with the connection.
            await asyncio.Event().wait()
        else:
            await super().push(answer)
            if stage == "greeting":
                self.transport.close()
        return True

    async def push(self, status):
        if not self.greeted:
            self.greeted = True
            if await self.fails("greeting"):
                return
        if self.said:
            self.said = False
            return
        if self.kept and await self.fails("taken"):
            self.kept = None
            return
        await super().push(status)
        if self.kept:
            with open(self.kept + ".acknowledged", "w"):
                self.kept = None

    async def smtp_EHLO(self, arg):
        if self.event_handler.order("fail") == "ehlo strip":
            offered, self.tls_context = self.tls_context, None
            await super().smtp_EHLO(arg)
            self.tls_context = offered
        elif not await self.fails("ehlo"):
            await super().smtp_EHLO(arg)

    async def smtp_HELO(self, arg):
        if not await self.fails("ehlo"):
            await super().smtp_HELO(arg)

    async def smtp_STARTTLS(self, arg):
        if await self.fails("starttls"):
            return
        if self.event_handler.order("fail").startswith("handshake "):
            await super().push("220 go on")
            await self.fails("handshake")
            return
        await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg):
        if not await self.fails("auth"):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg):
        if not await self.fails("mail"):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg):
        if not await self.fails("rcpt"):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg):
        if not await self.fails("data"):
            await super().smtp_DATA(arg)


def main():
    parser = argparse.ArgumentParser()
    for name in ["address", "port", "folder", "certificate", "key", "user", "password-file"]:
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    with open(given.password_file) as file:
        wanted = (given.user.encode(), file.read().strip().encode())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(given.certificate, given.key)
    keeper = Keeper(given.folder)
    implicit = os.path.exists(os.path.join(given.folder, "implicit"))

    def signed_in(server, session, envelope, mechanism, data):
        good = isinstance(data, LoginPassword) and (data.login, data.password) == wanted
        # Not handled: the server answers 535 by itself.
        return AuthResult(success=good, handled=False, auth_data=data if good else None)

    def conversation():
        return Conversation(
            keeper,
            hostname="mail",
            enable_SMTPUTF8=True,
            tls_context=None if implicit else tls,
            require_starttls=not implicit,
            auth_require_tls=not implicit,
            auth_required=True,
            authenticator=signed_in,
        )

    async def serve():
        server = await asyncio.get_running_loop().create_server(
            conversation, given.address, int(given.port), ssl=tls if implicit else None
        )
        await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
