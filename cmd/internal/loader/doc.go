// Package loader knows how devices find what they boot, and how each boot loader is made to boot a reflash initramfs once.
//
// A [Loader] is one boot loader: it says whether it is the one that starts the device, finds the file that decides which initramfs
// boots, and names what stands in the way. Which loader starts the device is proven where that can be: by the variables in which
// the firmware and the loaders themselves say it (https://systemd.io/BOOT_LOADER_INTERFACE/, the UEFI specification's
// BootCurrent), by the boot sector, by what the Raspberry Pi's firmware leaves in the device tree. Files in /boot prove nothing:
// they stay when a machine gets another loader.
//
// A [Boot] is the way in that is taken. What is known of a [Way] stands in the file of its loader; what is done on the device
// stands in the file of shell that is named after the way.
//
// A power cut at any instant leaves a device that boots. With Replace, Name and Auto it boots the original or the archive, also by
// a loader that replays no journal. With the four ways that hold once it boots the archive once at most, and else the original;
// with Kexec always the original. All shell of this package runs on the device's running system; each file says what it needs
// there.
package loader
