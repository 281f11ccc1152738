package loadbalancer

import (
	"fmt"
	"net/netip"
)

// pool assigns the addresses of a network, each to one owner.
type pool struct {
	network netip.Prefix
	owners  map[netip.Addr]string
}

func newPool(network netip.Prefix) *pool {
	return &pool{network: network.Masked(), owners: map[netip.Addr]string{}}
}

// take returns the requested address, the current address of the owner, or the lowest free one.
func (p *pool) take(owner, wanted string) (netip.Addr, error) {
	if wanted != "" {
		address, err := netip.ParseAddr(wanted)
		if err != nil || !p.usable(address) {
			return netip.Addr{}, fmt.Errorf("%s is no address of %s", wanted, p.network)
		}
		if other, taken := p.owners[address]; taken && other != owner {
			return netip.Addr{}, fmt.Errorf("%s belongs to %s", wanted, other)
		}
		p.release(owner)
		p.owners[address] = owner
		return address, nil
	}
	for address, other := range p.owners {
		if other == owner {
			return address, nil
		}
	}
	for address := p.network.Addr().Next(); p.usable(address); address = address.Next() {
		if _, taken := p.owners[address]; !taken {
			p.owners[address] = owner
			return address, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("no address of %s is free", p.network)
}

func (p *pool) release(owner string) {
	for address, other := range p.owners {
		if other == owner {
			delete(p.owners, address)
		}
	}
}

// usable excludes the first address of the network and the last one, the broadcast address.
func (p *pool) usable(address netip.Addr) bool {
	return p.network.Contains(address) && address != p.network.Addr() && p.network.Contains(address.Next())
}
