#!/bin/bash
# postfix.sh NODE_FOLDER root|user: runs Postfix until it is told to end.
node=$1
config=$node/state/postfix/config

signal() {
	# The file has blanks before the number.
	kill "-$1" $(<"$node/spool/pid/master.pid")
}
trap 'signal HUP' HUP
trap 'signal TERM' TERM

if [ "$2" = root ]; then
	/usr/sbin/postfix -c "$config" start-fg &
else
	# Postfix wants to be root, and to give what it has to its accounts; for an ordinary user fakeroot says that it did.
	fakeroot /bin/bash -c '
		chown -R postfix "$1/lib/postfix" "$1/log/postfix"
		exec /usr/sbin/postfix -c "$2" start-fg
	' postfix "$node" "$config" &
fi
child=$!
# A signal ends the wait, not what is waited for.
while kill -0 "$child" 2>/dev/null; do
	wait "$child"
	status=$?
done
exit "$status"
