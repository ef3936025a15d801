package microscope

import "fmt"

// story is one way in which a leader is deposed, or a read goes astray, told step
// by step. Its name begins with the row of the old bug that it comes from.
type story struct {
	name  string
	about string
	steps []step

	servers int
}

// tell makes a story of its steps as text; a list stands for itself.
func tell(name, about string, parts ...any) *story {
	s := &story{name: name, about: about, servers: 3}
	for _, part := range parts {
		texts, ok := part.([]string)
		if !ok {
			texts = []string{part.(string)}
		}
		for _, text := range texts {
			taken, err := parseStep(text)
			if err != nil {
				panic(fmt.Sprintf("story %s: %v", name, err))
			}
			s.steps = append(s.steps, taken)
		}
	}
	return s
}

// Parts that occur in many stories.
var (
	// Server 1 hears no leader, and server 2 elects it.
	elected = []string{"pass", "1>2 vote", "2>1 vote'", "1>2 vote last", "2>1 vote' last"}
	// Its sentinel is committed, and a write of which server 0 knows nothing.
	writes = []string{"1>2 append last", "2>1 append' last", "write 1", "1>2 append last", "2>1 append' last"}
	// Server 0 learns that it was deposed.
	learns = []string{"0>1 beat last", "1>0 beat' last"}
)

// stories are those that are enumerated, for three servers.
var stories = []*story{
	tell("L1Sentinel", "a new leader is asked before its sentinel is committed (etcd#7331)",
		"write 0", "0>1 append", "1>0 append'", // applied by server 0 alone
		elected, "1>2 beat", "2>1 beat'", "read 1", "1>2 beat", "2>1 beat'",
		"1>2 append", "beat", "2>1 append'", "1>2 append last", "2>1 append' last"),
	tell("L2OldBeats", "answers to heartbeats older than the read arrive after the deposition (etcd#20418)",
		"read 0", "0>1 beat", "0>2 beat", elected, writes,
		"read 0", "1>0 beat'", "2>0 beat'", learns),
	tell("L2LateAsk", "a read arrives at a follower that has asked the leader already",
		"read 2", "2>0 ask", "0>1 beat", "1>0 beat'",
		"write 0", "0>1 append", "1>0 append'", "read 2", "0>2 ask'",
		"2>0 ask", "0>1 beat", "1>0 beat'", "0>2 ask'", "0>2 append", "2>0 append'", "0>2 append last"),
	tell("L2LateJoin", "a read joins others that wait for the next round, after a write that they need not see",
		"write 0", "0>1 append", "read 0", "read 0", "1>0 append'", "read 2", "2>0 ask",
		"0>1 beat", "1>0 beat'", "0>1 beat", "1>0 beat'", "0>2 ask'",
		"0>2 append", "2>0 append'", "0>2 append last"),
	tell("L3DelayedCommit", "acknowledgements of a write arrive after the deposition (ruaft)",
		"write 0", "0>1 append", "0>2 append", elected, writes,
		"read 0", "1>0 append'", "2>0 append'", learns),
	tell("L4LateAcks", "answers of a quorum arrive after the deposition, and then a read (consul#54)",
		"read 0", "0>1 beat", "0>2 beat", elected, writes,
		"1>0 beat'", "2>0 beat'", "read 0", learns),
	tell("L6Behind", "a follower that lags is asked (etcd#3879)",
		"write 0", "0>1 append", "1>0 append'", "read 2", "2>0 ask", "0>1 beat", "1>0 beat'", "0>2 ask'",
		"0>2 append", "2>0 append'", "0>2 append last"),
	tell("L6Restart", "a follower that came back lags and is asked (redisraft#316)",
		"restart 2", "beat", "0>2 beat last", "write 0", "0>1 append", "1>0 append'",
		"read 2", "2>0 ask", "0>1 beat last", "1>0 beat' last", "0>2 ask'",
		"0>2 append last", "2>0 append' last", "0>2 append last"),
	tell("L7StepDown", "a leader steps down while reads wait, some in the open round (restate#2950)",
		"read 0", "read 0", elected, "read 0", "1>0 beat", "1>2 append", "2>1 append'"),
}

// The same with five servers, of which three are a quorum.
var (
	electedByTwo = []string{"pass", "1>2 vote", "1>3 vote", "2>1 vote'", "3>1 vote'", "1>2 vote last", "1>3 vote last", "2>1 vote' last", "3>1 vote' last"}
	writesToTwo  = []string{
		"1>2 append last", "1>3 append last", "2>1 append' last", "3>1 append' last", "write 1",
		"1>2 append last", "1>3 append last", "2>1 append' last", "3>1 append' last",
	}
)

// sampled are stories of five servers: too many schedules to enumerate.
var sampled = []*story{
	tellFive("L1SentinelOfFive", "a new leader is asked before its sentinel is committed (etcd#7331)",
		"write 0", "0>1 append", "0>4 append", "1>0 append'", "4>0 append'", electedByTwo,
		"1>2 beat", "1>3 beat", "2>1 beat'", "3>1 beat'", "read 1", "1>2 beat", "1>3 beat", "2>1 beat'", "3>1 beat'"),
	tellFive("L2OldBeatsOfFive", "answers to heartbeats older than the read arrive after the deposition (etcd#20418)",
		"read 0", "0>1 beat", "0>2 beat", "0>3 beat", electedByTwo, writesToTwo,
		"read 0", "1>0 beat'", "2>0 beat'", "3>0 beat'", "0>4 beat last", "4>0 beat' last", learns),
	tellFive("L3DelayedCommitOfFive", "acknowledgements of a write arrive after the deposition (ruaft)",
		"write 0", "0>1 append", "0>2 append", "0>4 append", electedByTwo, writesToTwo,
		"read 0", "1>0 append'", "2>0 append'", "4>0 append'", "0>4 beat last", "4>0 beat' last", learns),
	tellFive("L7StepDownOfFive", "a leader steps down while reads wait (restate#2950)",
		"read 0", "read 4", "4>0 ask", electedByTwo, "read 0", "0>4 beat last", "1>0 beat", writesToTwo),
}

func tellFive(name, about string, parts ...any) *story {
	s := tell(name, about, parts...)
	s.servers = 5
	return s
}
