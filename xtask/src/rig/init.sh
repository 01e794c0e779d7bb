#!/bin/busybox sh
# First and only process of the rig: loads KVM, waits for a job, runs its guests one after the other, and switches the
# machine off. The machine is saved while it waits, and every job goes on from there.
#
# ttyS0 is the kernel's own console. ttyS1 carries what happens, a line each: "ready", "start N", "qmp JSON", "stderr TEXT",
# "exit RIP REASON COUNT", "lost COUNT", "end N STATUS", "done", or "broken REASON". ttyS2 carries the consoles of the guests,
# each followed by a mark that no guest can know.
#
# A job is an archive on the disk, which is empty at first. It fills /job: mark, limit (seconds), epoch (the time of day, in
# seconds), trace (if exits are counted), and a directory per guest with the script "run".

PATH=/bin
run=/job

broken() {
    echo "broken $1"
    busybox poweroff -f
}

# Starts counting exits by guest address and reason.
trace_start() {
    echo 'hist:keys=guest_rip.hex,exit_reason:size=65536' >"$event/trigger" || broken "exits cannot be traced"
}

# Hands the counts out and stops counting.
trace_end() {
    busybox sed -n \
        -e 's/^{ guest_rip: *\([0-9a-f]*\), exit_reason: *\([0-9]*\) *} *hitcount: *\([0-9]*\).*/exit \1 \2 \3/p' \
        -e 's/^ *Dropped: *\([0-9]*\).*/lost \1/p' "$event/hist"
    echo '!hist:keys=guest_rip.hex,exit_reason:size=65536' >"$event/trigger"
}

busybox mount -t devtmpfs none /dev
busybox mount -t proc none /proc
busybox mount -t sysfs none /sys
busybox stty -F /dev/ttyS1 raw -echo
busybox stty -F /dev/ttyS2 raw -echo
exec >/dev/ttyS1

while read -r module; do
    busybox insmod "/lib/modules/$module" || broken "the module $module cannot be loaded"
done </lib/modules/order
[ -c /dev/kvm ] || broken "KVM gives no /dev/kvm"
[ -b /dev/vda ] || broken "there is no disk"
# A virtual machine monitor may count exits by it too.
busybox mount -t tracefs none /sys/kernel/tracing || broken "there is no tracefs"
event=/sys/kernel/tracing/events/kvm/kvm_exit

echo "ready"
# The kernel forgets what it has read of a disk when nobody has it open any more.
until [ "$(busybox head -c 5 /dev/vda)" = 07070 ]; do
    busybox usleep 50000
done
(cd / && busybox cpio -idu) </dev/vda || broken "the job cannot be unpacked"
read -r mark <$run/mark
read -r limit <$run/limit
read -r epoch <$run/epoch
busybox date -u -s "@$epoch" >/dev/null

guest=0
while [ -e "$run/$guest/run" ]; do
    here=$run/$guest
    busybox mkfifo "$here/in" "$here/console"
    # Held open for reading and writing, or opening it would wait for the other side.
    exec 3<>"$here/in"
    busybox cat $run/start >&3
    [ ! -e $run/trace ] || trace_start
    # A pipe before the port: the port takes in less at once, and QEMU drops what finds no room.
    busybox cat "$here/console" >/dev/ttyS2 &
    echo "start $guest"
    busybox timeout -s KILL "$limit" busybox sh "$here/run" <"$here/in" >"$here/out" 2>"$here/err"
    status=$?
    exec 3>&-
    # A QEMU that never opened the pipe leaves its reader waiting for a first writer.
    : 1<>"$here/console"
    wait
    busybox sed 's/^/qmp /' "$here/out"
    busybox sed 's/^/stderr /' "$here/err"
    [ ! -e $run/trace ] || trace_end
    printf '%s' "$mark" >/dev/ttyS2
    echo "end $guest $status"
    guest=$((guest + 1))
done
echo "done"
busybox poweroff -f
