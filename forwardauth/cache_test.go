package forwardauth

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"unsafe"
)

// sizes are the entries of each shard, by map and by ring; the two must agree.
func (c *openedCache) sizes(t *testing.T) (total int) {
	t.Helper()
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		held := 0
		for slot, e := range s.ring {
			if e == nil {
				continue
			}
			held++
			if e.slot != slot || s.m[e.value] != e {
				t.Errorf("shard %d: slot %d holds what the map doesn't", i, slot)
			}
		}
		if held != len(s.m) || len(s.ring) > shardCapacity {
			t.Errorf("shard %d: %d in the ring of %d, %d in the map", i, held, len(s.ring), len(s.m))
		}
		total += len(s.m)
		s.mu.Unlock()
	}
	return total
}

// Attack: somebody with a good session can have many values of it (renewals), and a busy site has many people: the cache
// holds so many and no more, and what is used stays.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	var c openedCache
	busy := &opened{}
	c.put("busy", busy)
	for i := range 3 * cacheCapacity {
		c.put("value "+strconv.Itoa(i), &opened{})
		if c.get("busy") != busy {
			t.Fatalf("what is used all the time went after %d others", i)
		}
	}
	if n := c.sizes(t); n > cacheCapacity || n < cacheCapacity/2 {
		t.Errorf("%d entries, %d are the most", n, cacheCapacity)
	}
	if c.get("value 0") != nil {
		t.Error("what nobody used since is still there")
	}
	if last := "value " + strconv.Itoa(3*cacheCapacity-1); c.get(last) == nil {
		t.Error("the newest is not there")
	}
}

// What was removed is gone at once, its place is used again, and a value is never answered with another's session.
func TestCacheRemoves(t *testing.T) {
	t.Parallel()
	var c openedCache
	sessions := map[string]*opened{}
	for i := range 2 * cacheCapacity {
		value := "value " + strconv.Itoa(i)
		sessions[value] = &opened{}
		c.put(value, sessions[value])
		if i%3 == 0 {
			c.remove(value)
			c.remove(value)
			if c.get(value) != nil {
				t.Fatalf("%s is still there", value)
			}
		}
	}
	c.remove("never there")
	for value, want := range sessions {
		if got := c.get(value); got != nil && got != want {
			t.Fatalf("%s is answered with another's session", value)
		}
	}
	c.sizes(t)
	again := &opened{}
	c.put("value 0", again)
	if c.get("value 0") != again {
		t.Error("it can't be put again")
	}
	c.put("value 0", &opened{})
	if c.get("value 0") != again {
		t.Error("a second put replaces what requests hold verdicts in")
	}
}

// The key is a copy: one opened session must not keep the whole Cookie header of a request in memory.
func TestCacheKeepsNoHeader(t *testing.T) {
	t.Parallel()
	var c openedCache
	header := fmt.Sprintf("%8000d", 0) + "value"
	value := header[8000:]
	c.put(value, &opened{})
	for key := range c.shard(value).m {
		if unsafe.StringData(key) == unsafe.StringData(value) {
			t.Error("the key is a part of the header")
		}
	}
}

// Requests, logins and logouts at once, for the race detector; afterwards map and ring still agree.
func TestCacheConcurrently(t *testing.T) {
	t.Parallel()
	var c openedCache
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 4000 {
				value := "value " + strconv.Itoa((i*7+worker)%600)
				switch i % 4 {
				case 0:
					c.put(value, &opened{data: sessionData{Sub: value}})
				case 3:
					c.remove(value)
				default:
					if o := c.get(value); o != nil && o.data.Sub != value {
						t.Errorf("%s is answered with the session of %s", value, o.data.Sub)
					}
				}
			}
		})
	}
	wg.Wait()
	c.sizes(t)
}
