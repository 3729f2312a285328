#include "textflag.h"

// entry is where a release begins (ld -E): see closed.go. It asks fcntl(2) F_GETFD of the three standard descriptors and goes on where
// programs of Go begin. The stack and its pointer are the kernel's, as they were.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	MOVL $0, R8
next:
	MOVL $72, AX // fcntl
	MOVL R8, DI
	MOVL $1, SI // F_GETFD
	MOVL $0, DX
	SYSCALL
	LEAQ ·descriptorFlags(SB), R9
	MOVQ AX, (R9)(R8*8)
	INCL R8
	CMPL R8, $3
	JNE  next
	JMP  _rt0_amd64_linux(SB)
