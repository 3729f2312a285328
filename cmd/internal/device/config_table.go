package device

import (
	"slices"
	"strconv"
	"strings"
)

// optionUse says what becomes of an option of ssh_config(5) here.
type optionUse int

const (
	heeded   optionUse = iota // as ssh does: takeValues reads it, and refuses by name what it cannot do
	answered                  // ssh has done with it when ssh -G answers; without ssh it is refused by name
	stricter                  // we refuse where ssh, with this option, would let in
	ourOwn                    // something of ours is in its place
	unused                    // of what ssh(1) can do and we do not, or of how it says things: neither who is reached nor how changes
)

// optionRow is what becomes of one option.
type optionRow struct {
	use optionUse
	why string // of all but what is heeded
	// alone says which values are read as ssh reads them where there is none to ask. nil: none are, if the option is heeded or answered; any, else.
	alone func(value string) bool
}

// optionTable has every option that ssh -G prints or ssh_config(5) has, up to OpenSSH 10.0, by its name in lower case. A
// test compares it with the ssh that is installed, and tries each option that is heeded.
var optionTable = map[string]optionRow{
	// who is reached, and by which way
	"hostname":                    {use: heeded, alone: anyValue},
	"port":                        {use: heeded, alone: func(v string) bool { return validPort(v) && v[0] != '0' && v[0] != '+' }},
	"user":                        {use: heeded, alone: plainValue},
	"addressfamily":               {use: heeded, alone: oneOf("any", "inet", "inet6")},
	"bindaddress":                 {use: heeded, alone: plainValue},
	"bindinterface":               {use: heeded, alone: plainValue},
	"connecttimeout":              {use: heeded, alone: wholeNumber},
	"connectionattempts":          {use: heeded, alone: wholeNumber},
	"tcpkeepalive":                {use: heeded, alone: oneOf("yes", "no")},
	"proxyjump":                   {use: heeded, alone: func(v string) bool { return !strings.ContainsAny(v, "%$/") }},
	"proxycommand":                {use: heeded, alone: oneOf("none")},
	"proxyusefdpass":              {use: heeded, alone: oneOf("no")},
	"host":                        {answered, "it is the name as it was given", nil},
	"match":                       {answered, "ssh has looked at what fits", nil},
	"include":                     {answered, "ssh has read the files", nil},
	"ignoreunknown":               {answered, "ssh has left them out", nil},
	"refuseconnection":            {answered, "ssh refuses, and says what it was told to", nil},
	"tag":                         {answered, "Match tagged has looked at it", nil},
	"canonicaldomains":            {answered, "the name that ssh says is the canonical one", nil},
	"canonicalizefallbacklocal":   {answered, "the name that ssh says is the canonical one", nil},
	"canonicalizehostname":        {answered, "the name that ssh says is the canonical one", oneOf("no")},
	"canonicalizemaxdots":         {answered, "the name that ssh says is the canonical one", nil},
	"canonicalizepermittedcnames": {answered, "the name that ssh says is the canonical one", nil},

	// who it must be
	"hostkeyalias":                     {use: heeded, alone: plainValue},
	"hostkeyalgorithms":                {use: heeded, alone: plainList},
	"casignaturealgorithms":            {use: heeded, alone: plainList},
	"requiredrsasize":                  {use: heeded, alone: wholeNumber},
	"revokedhostkeys":                  {use: heeded, alone: plainValue},
	"checkhostip":                      {use: heeded, alone: oneOf("yes", "no")},
	"userknownhostsfile":               {use: heeded, alone: anyValue},
	"globalknownhostsfile":             {use: heeded, alone: anyValue},
	"knownhostscommand":                {use: heeded, alone: oneOf("none")},
	"stricthostkeychecking":            {use: stricter, why: "no key is accepted on first sight", alone: anyValue},
	"verifyhostkeydns":                 {use: stricter, why: "DNS vouches for no key", alone: anyValue},
	"nohostauthenticationforlocalhost": {use: stricter, why: "a forwarded port is a device like another: its key must be known", alone: anyValue},
	"hashknownhosts":                   {use: unused, why: "known_hosts is not written to"},
	"updatehostkeys":                   {use: unused, why: "known_hosts is not written to"},
	"fingerprinthash":                  {use: unused, why: "fingerprints are SHA256"},
	"visualhostkey":                    {use: unused, why: "no pictures"},

	// what is agreed upon with its server
	"ciphers":         {use: heeded, alone: plainList},
	"kexalgorithms":   {use: heeded, alone: plainList},
	"macs":            {use: heeded, alone: plainList},
	"rekeylimit":      {use: heeded, alone: wholeNumber}, // its bytes; a GiB without it. After what time is the server's to say
	"compression":     {use: unused, why: "none is offered: images are compressed, and dropbear cannot take it with its large window"},
	"ipqos":           {use: unused, why: "packets carry no mark"},
	"versionaddendum": {use: unused, why: "the version that is said is groundhog's"},

	// how we log in
	"pubkeyauthentication":         {use: heeded, alone: oneOf("yes", "no", "unbound", "host-bound")},
	"preferredauthentications":     {use: heeded, alone: anyValue},
	"pubkeyacceptedalgorithms":     {use: heeded, alone: plainList},
	"identityfile":                 {use: heeded, alone: anyValue},
	"certificatefile":              {use: heeded, alone: anyValue},
	"identityagent":                {use: heeded, alone: anyValue},
	"identitiesonly":               {use: heeded, alone: oneOf("yes", "no")},
	"pkcs11provider":               {use: heeded, alone: anyValue}, // where nothing else lets us in: the agent can have its keys
	"batchmode":                    {use: heeded, alone: oneOf("yes", "no")},
	"numberofpasswordprompts":      {use: heeded, alone: wholeNumber},
	"securitykeyprovider":          {use: unused, why: "the agent signs for keys in a token"},
	"addkeystoagent":               {use: unused, why: "what is opened is kept in this process alone"},
	"enablesshkeysign":             {use: unused, why: "we log in with keys of users alone"},
	"hostbasedauthentication":      {use: unused, why: "we log in with keys of users alone"},
	"hostbasedacceptedalgorithms":  {use: unused, why: "we log in with keys of users alone"},
	"passwordauthentication":       {use: unused, why: "we log in with keys of users alone"},
	"kbdinteractiveauthentication": {use: unused, why: "we log in with keys of users alone"},
	"kbdinteractivedevices":        {use: unused, why: "we log in with keys of users alone"},
	"gssapiauthentication":         {use: unused, why: "we log in with keys of users alone"},
	"gssapiclientidentity":         {use: unused, why: "we log in with keys of users alone"},
	"gssapidelegatecredentials":    {use: unused, why: "we log in with keys of users alone"},
	"gssapikexalgorithms":          {use: unused, why: "we log in with keys of users alone"},
	"gssapikeyexchange":            {use: unused, why: "a device is known by its key alone"},
	"gssapirenewalforcesrekey":     {use: unused, why: "we log in with keys of users alone"},
	"gssapiserveridentity":         {use: unused, why: "we log in with keys of users alone"},
	"gssapitrustdns":               {use: unused, why: "we log in with keys of users alone"},

	// what runs there: commands of ours, as scp(1) runs its own
	"requesttty":              {use: unused, why: "our commands need no terminal"},
	"sessiontype":             {use: unused, why: "the commands are ours"},
	"remotecommand":           {use: unused, why: "the commands are ours"},
	"stdinnull":               {use: unused, why: "the commands' input is ours"},
	"sendenv":                 {use: unused, why: "our commands say what they need"},
	"setenv":                  {use: unused, why: "our commands say what they need"},
	"forkafterauthentication": {use: unused, why: "there is no background"},
	"permitlocalcommand":      {use: unused, why: "as for scp, no local command is run"},
	"localcommand":            {use: unused, why: "as for scp, no local command is run"},
	"escapechar":              {use: unused, why: "nobody types"},
	"enableescapecommandline": {use: unused, why: "nobody types"},
	"obscurekeystroketiming":  {use: unused, why: "nobody types"},
	"controlmaster":           {use: unused, why: "each connection is ours alone"},
	"controlpath":             {use: unused, why: "each connection is ours alone"},
	"controlpersist":          {use: unused, why: "each connection is ours alone"},
	"serveraliveinterval":     {use: ourOwn, why: "every connection is asked after 5 s and given up after 20 s: what is lost is gone on with"},
	"serveralivecountmax":     {use: ourOwn, why: "every connection is asked after 5 s and given up after 20 s: what is lost is gone on with"},
	"channeltimeout":          {use: ourOwn, why: "every command has a bound of its own"},

	// what is forwarded, which is nothing
	"clearallforwardings":   {use: unused, why: "nothing is forwarded"},
	"dynamicforward":        {use: unused, why: "nothing is forwarded"},
	"exitonforwardfailure":  {use: unused, why: "nothing is forwarded"},
	"forwardagent":          {use: unused, why: "nothing is forwarded"},
	"forwardx11":            {use: unused, why: "nothing is forwarded"},
	"forwardx11timeout":     {use: unused, why: "nothing is forwarded"},
	"forwardx11trusted":     {use: unused, why: "nothing is forwarded"},
	"gatewayports":          {use: unused, why: "nothing is forwarded"},
	"localforward":          {use: unused, why: "nothing is forwarded"},
	"permitremoteopen":      {use: unused, why: "nothing is forwarded"},
	"remoteforward":         {use: unused, why: "nothing is forwarded"},
	"streamlocalbindmask":   {use: unused, why: "nothing is forwarded"},
	"streamlocalbindunlink": {use: unused, why: "nothing is forwarded"},
	"tunnel":                {use: unused, why: "nothing is forwarded"},
	"tunneldevice":          {use: unused, why: "nothing is forwarded"},
	"xauthlocation":         {use: unused, why: "nothing is forwarded"},

	// how things are said
	"loglevel":       {use: unused, why: "what is said is ours"},
	"logverbose":     {use: unused, why: "what is said is ours"},
	"syslogfacility": {use: unused, why: "what is said is ours"},
	"warnweakcrypto": {use: unused, why: "what is said is ours"},
}

func anyValue(string) bool     { return true }
func plainValue(v string) bool { return !strings.ContainsAny(v, "%$~") }

// plainList reports whether a list of algorithms is complete by itself: it has no patterns, and does not change ssh's own list (+, -, ^).
func plainList(v string) bool {
	return !strings.ContainsAny(v[:1], "+-^") && !strings.ContainsAny(v, "*?!")
}

func wholeNumber(v string) bool {
	n, err := strconv.ParseUint(v, 10, 16)
	return err == nil && n > 0
}

func oneOf(values ...string) func(string) bool {
	return func(v string) bool { return slices.Contains(values, v) }
}
