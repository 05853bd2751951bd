#!/usr/bin/env bash
# Runs Exim in the foreground out of an unpacked package. Called in a network namespace of its own by
# `ip netns exec`, which gives it a mount namespace of its own too: what is mounted here is seen by nobody else.
set -euo pipefail
packages=$1 dir=$2

# It starts itself anew for every delivery, by its built-in path, and wants its built-in user.
mount -t overlay overlay -o "ro,lowerdir=$packages/usr:/usr" /usr
mount -t tmpfs tmpfs /run
mkdir -p "$dir"/{etc/exim4,spool,log}
chown 64003:64003 "$dir"/{spool,log,mail}
(cat /etc/passwd && echo "Debian-exim:x:64003:64003::$dir:/usr/sbin/nologin") >"$dir/etc/passwd"
(cat /etc/group && echo "Debian-exim:x:64003:") >"$dir/etc/group"
install -m 640 -g 64003 "$dir/../key.pem" "$dir/key.pem"
# Its built-in path: with any other it would give up the rights that it needs to store mail.
cat >"$dir/etc/exim4/exim4.conf" <<CONF
primary_hostname = mx.exim.test
spool_directory = $dir/spool
log_file_path = $dir/log/%slog
local_interfaces = 10.78.0.26
daemon_smtp_ports = 25
keep_environment =
domainlist here = exim.test : tls.exim.test
domainlist elsewhere = postfix.test : tls.postfix.test : open.test
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 50
smtp_accept_queue_per_connection = 0
smtp_max_unknown_commands = 20
recipients_max = 1000
tls_advertise_hosts = *
tls_certificate = $dir/../cert.pem
tls_privatekey = $dir/key.pem
chunking_advertise_hosts = *
bounce_return_size_limit = 1M

begin acl
# Recipients are known by their first letters: ok is taken, later is put off, all others are refused.
rcpt:
    defer local_parts = ^later
          domains = +here
          message = later
    accept local_parts = ^ok
           domains = +here
    deny domains = +here
         message = no such user here
    accept domains = +elsewhere
    deny

begin routers
here:
    driver = accept
    domains = +here
    transport = store
elsewhere:
    driver = manualroute
    domains = postfix.test : open.test
    transport = plain
    route_list = postfix.test 10.78.0.25 byname ; open.test 10.78.0.27 byname
elsewhere_in_tls:
    driver = manualroute
    domains = tls.postfix.test
    transport = secure
    route_list = tls.postfix.test 10.78.0.25 byname

begin transports
store:
    driver = appendfile
    directory = $dir/mail
    maildir_format
    envelope_to_add
    return_path_add
    user = Debian-exim
plain:
    driver = smtp
    hosts_avoid_tls = *
secure:
    driver = smtp
    hosts_require_tls = *
    tls_verify_hosts =
    tls_try_verify_hosts =

begin retry
* * F,1h,2s
CONF

mount -t overlay overlay -o "ro,lowerdir=$dir/etc:/etc" /etc
exec exim4 -bdf -q2s
