#!/bin/sh
# Boots the system in the folder $1 as a container: systemd as its first process, in namespaces and a control group of its
# own ($2). It has no device but those made here, and no network but its loopback. Ends when its first process does.
set -eu
root=$1
group=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)/$2

mkdir "$group"
echo $$ >"$group/cgroup.procs"
exec unshare --mount --pid --fork --kill-child --ipc --uts --net --cgroup sh -euc '
    mount --make-rprivate /
    mount --bind "$1" "$1"
    cd "$1"
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mkdir -p sys/fs/cgroup
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs tmpfs run
    mount -t tmpfs tmpfs tmp
    mount -t tmpfs -o mode=755 tmpfs dev
    # Nodes of its own: the owner of one that is shared would change on this machine too.
    while read -r name minor; do mknod -m 666 "dev/$name" c 1 "$minor"; done <<END
null 3
zero 5
full 7
random 8
urandom 9
END
    mkdir dev/pts dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
    ln -s pts/ptmx dev/ptmx
    ln -s /proc/self/fd dev/fd
    echo sensor >etc/hostname
    mkdir -p old
    pivot_root . old
    umount -l /old
    exec env -i container=unshare PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
' boot "$root"
