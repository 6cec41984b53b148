#!/bin/busybox sh
# The guest's first process, in the initramfs: loads the modules and moves to a root file system that can be pivoted
# away from, which the kernel does not allow for the initramfs.
PATH=/bin
export PATH
/bin/busybox --install -s /bin
for module in /modules/*.ko; do
  insmod "$module" || echo "naru-vm: $module cannot be loaded" >/dev/console
done
mkdir -p /new
mount -t tmpfs -o mode=755,size=1200m root /new
mv /bin /steps /supervision /new/
exec /new/bin/busybox switch_root /new /steps
