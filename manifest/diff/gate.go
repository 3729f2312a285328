package diff

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"groundhog/initrd/show"
)

// Rule says which differences a build must not have. [ParseRules] reads them.
type Rule struct {
	Name  string  // one of the names below
	Limit float64 // of size, unpacked, own and rest: bytes, or percent
	Share bool    // Limit is percent of the old size
}

// Trip is a rule that a difference broke, and where.
type Trip struct {
	Rule  string `json:"rule"`
	Where string `json:"where"`
	What  string `json:"what"`
}

// ParseRules reads a list of rules, separated by commas: names, and size,
// unpacked, own or rest with ">" and a limit of growth in percent or bytes: "size>5%",
// "unpacked>2MiB". size is of the file, unpacked of the content of all files: own of
// those that groundhog put or changed, as the archive's record of patches says, and
// rest of all others.
func ParseRules(list string) ([]Rule, error) {
	var all []Rule
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		name, limit, sized := strings.Cut(one, ">")
		r := Rule{Name: name}
		find, known := gateRules[name]
		switch {
		case !known:
			return nil, fmt.Errorf("rule %q: there is none (there are %s)", one, strings.Join(RuleNames, ", "))
		case sized != (find == nil):
			return nil, fmt.Errorf("rule %q: a limit is what size, unpacked, own and rest have, as in size>5%%", one)
		case sized:
			var err error
			if r.Limit, r.Share, err = parseLimit(limit); err != nil {
				return nil, fmt.Errorf("rule %q: %w", one, err)
			}
		}
		all = append(all, r)
	}
	return all, nil
}

func parseLimit(s string) (limit float64, share bool, err error) {
	s = strings.TrimSpace(s)
	given, factor := s, 0.0 // no unit, no limit: whoever writes size>5 means percent, and would get 5 bytes
	for _, u := range []struct {
		suffix string
		bytes  float64
	}{{"%", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}} {
		if number, ok := strings.CutSuffix(s, u.suffix); ok {
			s, factor, share = strings.TrimSpace(number), u.bytes, u.suffix == "%"
			break
		}
	}
	limit, err = strconv.ParseFloat(s, 64)
	if err != nil || limit < 0 || math.IsInf(limit, 0) || math.IsNaN(limit) {
		return 0, false, fmt.Errorf("%q: not a limit like 5%% or 2MiB", given)
	}
	if factor == 0 && limit > 0 {
		return 0, false, fmt.Errorf("%q: percent, B, kB, KiB, MB, MiB, GB or GiB? write %s%% or %sMiB, say", given, given, given)
	}
	return limit * factor, share, nil
}

// ErrUnattributed says that a rule cannot be judged: no file of the new side has an origin, so none is of unknown origin.
var ErrUnattributed = errors.New("nothing says which packages the new side's files are from")

// Judges is an error where c lacks what a rule is judged by: a gate that cannot trip must not be green.
func (c *Changes) Judges(list []Rule) error {
	for _, r := range list {
		if r.Name == "unknown" && !c.New.Origins {
			return fmt.Errorf("rule %q: %w", r.Name, ErrUnattributed)
		}
	}
	return nil
}

// Gate notes in c, and returns, which of the rules are broken, and where.
func (c *Changes) Gate(list []Rule) []Trip {
	c.Tripped = nil
	for _, r := range list {
		switch r.Name {
		case "size":
			c.tripGrowth(r, "the file", c.Old.Size, c.New.Size-c.Old.Size)
		case "unpacked":
			c.tripGrowth(r, "the content", c.Old.Content, c.Total.Growth)
		case "own":
			c.tripGrowth(r, "what groundhog put there", c.Old.Own, c.Total.Own)
		case "rest":
			c.tripGrowth(r, "what groundhog did not put there", c.Old.Content-c.Old.Own, c.Total.Growth-c.Total.Own)
		default:
			gateRules[r.Name](c, func(where, what string) {
				c.Tripped = append(c.Tripped, Trip{r.Name, where, what})
			})
		}
	}
	return c.Tripped
}

func (c *Changes) tripGrowth(r Rule, what string, old, by int64) {
	limit, most := r.Limit, show.Bytes(int64(r.Limit))
	if r.Share {
		limit, most = float64(old)*r.Limit/100, strconv.FormatFloat(r.Limit, 'g', -1, 64)+"%"
	}
	if float64(by) > limit {
		c.Tripped = append(c.Tripped, Trip{r.Name + ">" + most, what,
			fmt.Sprintf("%s -> %s (%s)", show.Bytes(old), show.Bytes(old+by), growthText(old, old+by))})
	}
}
