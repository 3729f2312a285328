// Package loader knows how devices find what they boot, and how each of them is had to boot a reflash initramfs once.
//
// A [Loader] is one boot loader: it says whether it is the one that starts the device, finds the file that decides
// which initramfs boots, and names what stands in the way. Which one starts the device is proven where that can be: by the variables in which the
// firmware and the loaders themselves say it (https://systemd.io/BOOT_LOADER_INTERFACE/, the UEFI specification's
// BootCurrent), by the boot sector, by what the Raspberry Pi's firmware leaves in the device tree. Files in /boot prove nothing: they stay when
// a machine gets another loader.
//
// A [Boot] is the way in that is taken:
//
//	[Replace]  the archive takes the place of the initramfs, the original is kept and put back by the next system that boots (file.sh)
//	[Name]     config.txt names the archive in place of the original, which stays where it is (config.sh)
//	[Kexec]    the running kernel starts itself with the archive; nothing is written to any disk (kexec.sh)
//
// What a power cut leaves: with Replace and Name the old one boots or the new one, at every instant, also for a reader that replays no
// journal; with Kexec always the old one. All shell of this package runs on the device's running system; each
// file says what it needs there.
package loader
