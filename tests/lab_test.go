package tests

import "testing"

func TestElections(t *testing.T)  { Run(t, Lockstep, Elections) }
func TestTopologies(t *testing.T) { Run(t, Lockstep, Topologies(testing.Short())) }
func TestProposals(t *testing.T)  { Run(t, Lockstep, Proposals) }
func TestReads(t *testing.T)      { Run(t, Lockstep, Reads) }
func TestStorms(t *testing.T)     { Run(t, Lockstep, Storms) }
