"""Reads a calendar by two readers that know nothing of each other, or with --mail a message that holds one, and prints what
they saw as JSON."""

import email
import email.policy
import json
import sys
from datetime import timezone

import icalendar
import vobject


def utc(moment):
    assert moment.tzinfo is not None, f"{moment} has no zone"
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def by_icalendar(text):
    calendar = icalendar.Calendar.from_ical(text)
    return {
        "method": str(calendar["METHOD"]),
        "events": [
            {
                "uid": str(event["UID"]),
                "sequence": int(event["SEQUENCE"]),
                "status": str(event["STATUS"]),
                "begin": utc(event.decoded("DTSTART")),
                "end": utc(event.decoded("DTEND")),
                "stamp": utc(event.decoded("DTSTAMP")),
                "description": str(event["DESCRIPTION"]),
            }
            for event in calendar.walk("VEVENT")
        ],
    }


def by_vobject(text):
    calendar = vobject.readOne(text)
    calendar.validate(raiseException=True)
    return {
        "method": calendar.method.value,
        "events": [
            {
                "uid": event.uid.value,
                "sequence": int(event.sequence.value),
                "status": event.status.value,
                "begin": utc(event.dtstart.value),
                "end": utc(event.dtend.value),
                "stamp": utc(event.dtstamp.value),
                "description": event.description.value,
            }
            for event in calendar.contents.get("vevent", [])
        ],
    }


def both(text):
    one, other = by_icalendar(text), by_vobject(text)
    assert one == other, f"the readers differ: {one} {other}"
    return one


def main():
    text = sys.stdin.buffer.read().decode()
    if sys.argv[1:] != ["--mail"]:
        print(json.dumps(both(text)))
        return
    message = email.message_from_string(text, policy=email.policy.default)
    assert not message.defects, message.defects
    parts = [part for part in message.walk() if not part.is_multipart()]
    calendars = [part for part in parts if part.get_content_type() == "text/calendar"]
    # The same one in the text, for programs that know invitations, and attached, for all others.
    seen = [both(part.get_content()) for part in calendars]
    assert len(seen) == 2 and seen[0] == seen[1], seen
    print(
        json.dumps(
            {
                "id": message["Message-ID"],
                "subject": message["Subject"],
                "to": message["To"],
                "from": message["From"],
                "attached": [part.get_filename() for part in parts if part.is_attachment()],
                "methods": sorted({part["Content-Type"].params["method"] for part in calendars}),
                "text": parts[0].get_content(),
                **seen[0],
            }
        )
    )


main()
