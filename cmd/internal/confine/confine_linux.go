package confine

import (
	"os"
	"syscall"
)

// withoutNetwork gives the process a network namespace of its own, which has no
// interface but a loopback that is down (network_namespaces(7)); an ordinary user
// needs a user namespace for that, in which he stays who he is.
func withoutNetwork(attr *syscall.SysProcAttr) {
	attr.Cloneflags = syscall.CLONE_NEWNET
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		return
	}
	attr.Cloneflags |= syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
}
