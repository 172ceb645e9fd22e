#!/bin/sh
# Boots one machine of the lab, and again when it reboots; ends when it is powered off. Runs under
# `unshare --mount`, so that its disk and its network namespace go when its processes go.
#
# In the environment: LAYERS FOLDER MACHINE HOST BRIDGE VETH MAC ADDRESS GATEWAY CGROUPS LINKS
set -eu

mkdir -p "$FOLDER/disk" "$FOLDER/work" "$FOLDER/root" /run/netns /run/systemd/nspawn
mount -t overlay overlay -o "lowerdir=$LAYERS,upperdir=$FOLDER/disk,workdir=$FOLDER/work" "$FOLDER/root"
# Their own here, so that no name or lock of theirs meets another lab's or stays.
mount -t tmpfs tmpfs /run/netns
mount -t tmpfs tmpfs /run/systemd/nspawn

plug() { # bridge, our end, the machine's end
  ip link delete "$2" 2>/dev/null || true
  ip link add "$2" type veth peer name "$3" netns machine
  ip link set "$2" master "$1" up
  ip -n machine link set "$3" up
}

while :; do
  # A new network namespace at each boot, as a kernel that starts has no addresses, routes and rules.
  ip netns add machine
  ip -n machine link set lo up
  plug "$BRIDGE" "$VETH" eth0
  ip -n machine link set eth0 address "$MAC"
  ip -n machine address add "$ADDRESS/24" dev eth0
  ip -n machine route add default via "$GATEWAY"
  for link in $LINKS; do
    # bridge=our end=the machine's end
    rest=${link#*=}
    plug "${link%%=*}" "${rest%%=*}" "${rest#*=}"
  done

  code=0
  (
    # 0 is the process that writes, and below it the machine makes its own groups.
    for cgroup in $CGROUPS; do echo 0 > "$cgroup/cgroup.procs"; done
    exec systemd-nspawn --directory="$FOLDER/root" --machine="$MACHINE" --hostname="$HOST" \
      --network-namespace-path=/run/netns/machine --capability=CAP_NET_ADMIN --register=no --keep-unit \
      --resolv-conf=off --timezone=off --link-journal=no --console=pipe --boot
  ) || code=$?

  ip link delete "$VETH" 2>/dev/null || true
  ip netns delete machine
  # With --keep-unit systemd-nspawn says by this code that the machine wants to be started again.
  [ "$code" = 133 ] || exit "$code"
done
