package loadbalancer

import (
	"net/netip"
	"testing"
)

func TestEachOwnerGetsItsOwnAddressAndKeepsIt(t *testing.T) {
	p := newPool(netip.MustParsePrefix("10.0.0.0/29"))
	first := take(t, p, "a", "")
	second := take(t, p, "b", "")
	if first == second {
		t.Errorf("two owners share %s", first)
	}
	if again := take(t, p, "a", ""); again != first {
		t.Errorf("a second call moved the owner from %s to %s", first, again)
	}
}

func TestReleasedAddressIsAssignedAgain(t *testing.T) {
	p := newPool(netip.MustParsePrefix("10.0.0.0/29"))
	first := take(t, p, "a", "")
	p.release("a")
	if got := take(t, p, "b", ""); got != first {
		t.Errorf("got %s, want the released %s", got, first)
	}
}

func TestFullPoolAndForeignAddressesAreRejected(t *testing.T) {
	p := newPool(netip.MustParsePrefix("10.0.0.0/30"))
	take(t, p, "a", "10.0.0.1")
	take(t, p, "b", "")
	for owner, wanted := range map[string]string{
		"nothing free":      "",
		"taken":             "10.0.0.1",
		"outside":           "10.0.1.1",
		"network address":   "10.0.0.0",
		"broadcast address": "10.0.0.3",
		"no address":        "ten",
	} {
		if address, err := p.take(owner, wanted); err == nil {
			t.Errorf("%s: got %s, want an error", owner, address)
		}
	}
}

func take(t *testing.T, p *pool, owner, wanted string) string {
	t.Helper()
	address, err := p.take(owner, wanted)
	if err != nil {
		t.Fatal(err)
	}
	return address.String()
}
