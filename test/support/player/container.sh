# The first process of a job's container, inside fresh mount and pid namespaces: it gives them a root of their own and
# becomes `tail -f /dev/null`, as the runner has it with Docker. The image is this machine's system folders, read-only;
# of the rest of the machine only what is named is there. Prints its pid as it is seen outside.
#
# usage: container.sh ROOT [FROM TO ro|rw]...
set -eu
root=$1
shift
read -r pid _ < /proc/self/stat

mount -t tmpfs -o mode=755 tmpfs "$root"
for folder in usr bin sbin lib lib32 lib64 libx32 etc opt; do
  if [ -L "/$folder" ]; then
    ln -s "$(readlink "/$folder")" "$root/$folder"
  elif [ -d "/$folder" ]; then
    mkdir "$root/$folder"
    mount --rbind -o ro "/$folder" "$root/$folder"
  fi
done
mkdir -p "$root/proc" "$root/dev" "$root/home" "$root/root" "$root/run" "$root/tmp" "$root/var/tmp"
chmod 1777 "$root/tmp" "$root/var/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ $# -ge 3 ]; do
  mkdir -p "$root$2"
  mount --bind -o "$3" "$1" "$root$2"
  shift 3
done

cd "$root"
mkdir .machine
pivot_root . .machine
umount -l .machine
rmdir .machine
echo "$pid"
exec tail -f /dev/null
