package device

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// askKnownHosts runs KnownHostsCommand (ssh_config(5)): it prints lines as known_hosts has them, of which those about a name are returned. It may know
// keys that no file has, and may revoke those that one has. invocation says for what it is asked, key is what the device shows, nil before that.
func (s *sshSettings) askKnownHosts(invocation, name string, key ssh.PublicKey) ([]knownLine, error) {
	fail := func(err error) ([]knownLine, error) {
		return nil, fmt.Errorf("the configuration's KnownHostsCommand %s: %w", s.knownCommand, err)
	}
	words, err := splitWords(s.knownCommand)
	if err != nil {
		return fail(err)
	}
	if len(words) == 0 || !filepath.IsAbs(words[0]) {
		return fail(errors.New("its program has no absolute path"))
	}
	me, err := whoAmI()
	if err != nil {
		return fail(err)
	}
	tokens := s.tokensFor(me)
	tokens.value['H'], tokens.value['I'] = name, invocation
	tokens.value['t'], tokens.value['f'], tokens.value['K'] = "NONE", "NONE", "NONE"
	if key != nil {
		tokens.value['t'], tokens.value['f'], tokens.value['K'] = key.Type(), ssh.FingerprintSHA256(key), base64.StdEncoding.EncodeToString(key.Marshal())
	}
	for i := 1; i < len(words); i++ {
		if words[i], err = tokens.expandTokens(words[i], os.LookupEnv); err != nil {
			return fail(err)
		}
	}
	limit, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	cmd, out, said := exec.CommandContext(limit, words[0], words[1:]...), &limitedHead{limit: maxKnownHosts}, &OutputTail{Limit: maxStderr}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, said, time.Second
	if err := cmd.Run(); limit.Err() != nil {
		return fail(fmt.Errorf("no answer within %s", askTime))
	} else if err != nil {
		return fail(errors.New(strings.Join(append([]string{err.Error()}, strings.FieldsFunc(string(said.KeptBytes()), lineEnd)...), "; ")))
	}
	db := &knownDB{}
	db.addLines(out.b.String(), "KnownHostsCommand")
	return db.linesAbout(name), nil
}

// splitWords splits a command at blanks as ssh does (its argv_split): " and ' keep them, and \ keeps itself, a quote and, outside of quotes, a blank.
func splitWords(text string) (all []string, err error) {
	for text = strings.TrimLeft(text, " \t"); text != ""; text = strings.TrimLeft(text, " \t") {
		var b strings.Builder
		quote, i := byte(0), 0
		for ; i < len(text) && (quote != 0 || text[i] != ' ' && text[i] != '\t'); i++ {
			switch c := text[i]; {
			case c == '\\' && i+1 < len(text) && (strings.IndexByte(`'"\`, text[i+1]) >= 0 || quote == 0 && text[i+1] == ' '):
				i++
				b.WriteByte(text[i])
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case quote != 0 && c == quote:
				quote = 0
			default:
				b.WriteByte(c)
			}
		}
		if quote != 0 {
			return nil, errors.New("a quote in it is not closed")
		}
		all, text = append(all, b.String()), text[i:]
	}
	return all, nil
}
