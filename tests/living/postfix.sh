#!/usr/bin/env bash
# Runs Postfix in the foreground with a configuration of its own. Called in a network namespace of its own.
set -euo pipefail
dir=$2

id=64004
mkdir "$dir"/{queue,data}
chown postfix "$dir/data"
chown $id "$dir/mail"
cat >"$dir/main.cf" <<CONF
compatibility_level = 3.6
queue_directory = $dir/queue
data_directory = $dir/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = /dev/stdout
inet_interfaces = 10.78.0.25
inet_protocols = ipv4
myhostname = mx.postfix.test
mynetworks = 10.78.0.0/24
mydestination =
local_recipient_maps =
alias_maps =
# Recipients are known by their first letters: ok is taken, later is put off, all others are refused.
virtual_mailbox_domains = postfix.test tls.postfix.test
virtual_mailbox_base = $dir/mail
virtual_mailbox_maps = inline:{ {@never=never} }, regexp:{ {/^ok.*@/ ./} }
virtual_uid_maps = static:$id
virtual_gid_maps = static:$id
smtpd_recipient_restrictions =
    check_recipient_access regexp:{ {/^later.*postfix.test/ 451 4.2.0 later} }, permit_mynetworks, reject
relay_domains = exim.test tls.exim.test open.test
transport_maps = inline:{
    { exim.test = smtp:[10.78.0.26] }, { open.test = smtp:[10.78.0.27] },
    { tls.exim.test = secure:[10.78.0.26] } }
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtp_tls_security_level = none
smtpd_tls_security_level = may
smtpd_tls_cert_file = $dir/../cert.pem
smtpd_tls_key_file = $dir/../key.pem
message_size_limit = 10485760
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 100
smtpd_hard_error_limit = 200
minimal_backoff_time = 2s
maximal_backoff_time = 5s
queue_run_delay = 2s
CONF
cat >"$dir/master.cf" <<CONF
smtp      inet       n - n - 50 smtpd
465       inet       n - n - 10 smtpd
    -o smtpd_tls_wrappermode=yes
cleanup   unix       n - n - 0 cleanup
qmgr      unix       n - n 300 1 qmgr
rewrite   unix       - - n - - trivial-rewrite
bounce    unix       - - n - 0 bounce
defer     unix       - - n - 0 bounce
trace     unix       - - n - 0 bounce
smtp      unix       - - n - - smtp
secure    unix       - - n - - smtp
    -o smtp_tls_security_level=encrypt
error     unix       - - n - - error
retry     unix       - - n - - error
virtual   unix       - n n - - virtual
anvil     unix       - - n - 1 anvil
tlsmgr    unix       - - n 1000? 1 tlsmgr
postlog   unix-dgram n - n - 1 postlogd
CONF
exec postfix -c "$dir" start-fg
