#include "textflag.h"

// entry is as on amd64.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	MOVD $0, R9
next:
	MOVD $25, R8 // fcntl
	MOVD R9, R0
	MOVD $1, R1 // F_GETFD
	MOVD $0, R2
	SVC
	MOVD $·descriptorFlags(SB), R10
	MOVD R0, (R10)(R9<<3)
	ADD  $1, R9
	CMP  $3, R9
	BNE  next
	B    _rt0_arm64_linux(SB)
