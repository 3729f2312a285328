package loader

// RebootIsKexec refuses a device of which a reboot would be a kexec of something else: then no boot loader is asked what
// to boot. kexec-tools of bookworm load a kernel at each shutdown if so configured, and systemd starts what is loaded.
func RebootIsKexec(f Facts) error {
	switch {
	case f.Get("kexec_loaded") == "1":
		return refuseWithHint("kexec -u there lets go of it", "a kernel is loaded for kexec: a reboot would start that, and not what the boot loader finds")
	case f.Get("load_kexec") == "true":
		return refuseWithHint("LOAD_KEXEC=false in /etc/default/kexec", "kexec-tools make a kexec of a reboot (LOAD_KEXEC=true), and the boot loader is not asked")
	}
	return nil
}
