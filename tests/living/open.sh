#!/usr/bin/env bash
# Runs OpenSMTPD in the foreground out of an unpacked package. Called in a network namespace of its own by
# `ip netns exec`, which gives it a mount namespace of its own too: what is mounted here is seen by nobody else.
set -euo pipefail
packages=$1 dir=$2

# The paths of its helpers, its queue and its chroot are built in, and so are the names of its users.
mount -t overlay overlay -o "ro,lowerdir=$packages/usr:/usr" /usr
mount -t tmpfs tmpfs /var/spool
mount -t tmpfs tmpfs /run
mkdir -m 711 /var/spool/smtpd
# Its chroot must belong to root, and to be there.
if ! [[ -d /var/lib/opensmtpd/empty ]]; then
    mount -t overlay overlay -o "ro,lowerdir=$packages/var/lib:/var/lib" /var/lib
fi
mkdir "$dir/etc"
(
    cat /etc/passwd
    echo "opensmtpd:x:64001:64001::/var/lib/opensmtpd/empty:/usr/sbin/nologin"
    echo "opensmtpq:x:64002:64002::/var/lib/opensmtpd/empty:/usr/sbin/nologin"
    echo "keeper:x:64005:64005::$dir/mail:/bin/sh"
) >"$dir/etc/passwd"
(cat /etc/group && printf '%s\n' opensmtpd:x:64001: opensmtpq:x:64002: keeper:x:64005:) >"$dir/etc/group"
mount -t overlay overlay -o "ro,lowerdir=$dir/etc:/etc" /etc
chown 64005:64005 "$dir/mail"
cat >"$dir/smtpd.conf" <<CONF
smtp max-message-size "10M"
listen on 10.78.0.27 port 25 hostname mx.open.test
action "store" maildir "$dir/mail" virtual { "@" = "keeper" }
action "to_postfix" relay host "smtp+notls://10.78.0.25"
action "to_exim" relay host "smtp+notls://10.78.0.26"
action "to_postfix_in_tls" relay host "smtp+tls://10.78.0.25" tls no-verify
action "to_exim_in_tls" relay host "smtp+tls://10.78.0.26" tls no-verify

# Recipients are known by their first letters: ok is taken, all others are refused.
match from any for rcpt-to regex { "^ok.*@(tls\\.)?open\\.test$" } action "store"
match from any for domain "postfix.test" action "to_postfix"
match from any for domain "exim.test" action "to_exim"
match from any for domain "tls.postfix.test" action "to_postfix_in_tls"
match from any for domain "tls.exim.test" action "to_exim_in_tls"
CONF

exec smtpd -d -f "$dir/smtpd.conf"
