package wal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strconv"
	"strings"

	"lockstep.example/raft"
	"lockstep.example/raft/vfs"
)

// The files identity and boot are short text, so that a person can tell whose a
// directory is. Each line is a key and a value quoted as in Go; the last line is
// a checksum of those before it.
//
//	lockstep-identity 1                 lockstep-boot 1
//	cluster "demo-5b2f9a0c11d7"         directory "9f86d081884c7d65..."
//	server "n1"                         counter "7"
//	incarnation "1"                     crc32c 7a3c1e02
//	directory "9f86d081884c7d65..."
//	crc32c 1b9e44d0
const (
	identityName  = "identity"
	bootName      = "boot"
	lockName      = "lock"
	recordFormat  = "1"
	recordSumSize = len("crc32c 01234567\n")
	maxRecordSize = 4 << 10 // bytes; both files are far smaller
)

// encodeRecord writes a record: its kind, then keys and values in turn.
func encodeRecord(kind string, pairs ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "lockstep-%s %s\n", kind, recordFormat)
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "%s %q\n", pairs[i], pairs[i+1])
	}
	fmt.Fprintf(&b, "crc32c %08x\n", crc32.Checksum(b.Bytes(), castagnoli))
	return b.Bytes()
}

// readRecord returns the values of a record's keys. The error is a
// *CorruptError, a *FormatError, or that of the file system (fs.ErrNotExist).
func readRecord(fsys vfs.FS, path, kind string, keys ...string) ([]string, error) {
	data, err := vfs.ReadFile(fsys, path)
	if err != nil {
		return nil, err
	}
	damaged := &CorruptError{Path: path, Detail: "the file is damaged"}
	if len(data) < recordSumSize || len(data) > maxRecordSize {
		return nil, damaged
	}
	text, sum := data[:len(data)-recordSumSize], data[len(data)-recordSumSize:]
	if string(sum) != fmt.Sprintf("crc32c %08x\n", crc32.Checksum(text, castagnoli)) {
		return nil, damaged
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	version, ok := strings.CutPrefix(lines[0], "lockstep-"+kind+" ")
	if !ok {
		return nil, damaged
	}
	if version != recordFormat {
		return nil, &FormatError{Path: path, What: fmt.Sprintf("%s format %s", kind, version)}
	}
	if len(lines) != len(keys)+1 {
		return nil, damaged
	}
	values := make([]string, len(keys))
	for i, key := range keys {
		quoted, ok := strings.CutPrefix(lines[i+1], key+" ")
		if values[i], err = strconv.Unquote(quoted); !ok || err != nil {
			return nil, damaged
		}
	}
	return values, nil
}

// readIdentity returns what the identity file says, with BootCounter 0.
func readIdentity(fsys vfs.FS, dir string) (raft.Identity, error) {
	path := filepath.Join(dir, identityName)
	v, err := readRecord(fsys, path, "identity", "cluster", "server", "incarnation", "directory")
	if err != nil {
		return raft.Identity{}, err
	}
	incarnation, err1 := strconv.ParseUint(v[2], 10, 64)
	directory, err2 := hex.DecodeString(v[3])
	if err1 != nil || err2 != nil || v[1] == "" {
		return raft.Identity{}, &CorruptError{Path: path, Detail: "the file is damaged"}
	}
	return raft.Identity{Cluster: v[0], Server: raft.ServerID(v[1]), Incarnation: incarnation, Directory: directory}, nil
}

func encodeIdentity(id raft.Identity) []byte {
	return encodeRecord("identity", "cluster", id.Cluster, "server", string(id.Server),
		"incarnation", strconv.FormatUint(id.Incarnation, 10), "directory", hex.EncodeToString(id.Directory))
}

// readBoot returns the boot counter of the directory id belongs to.
func readBoot(fsys vfs.FS, dir string, id raft.Identity) (uint64, error) {
	path := filepath.Join(dir, bootName)
	v, err := readRecord(fsys, path, "boot", "directory", "counter")
	if err != nil {
		return 0, err
	}
	counter, err := strconv.ParseUint(v[1], 10, 64)
	if err != nil {
		return 0, &CorruptError{Path: path, Detail: "the file is damaged"}
	}
	if v[0] != hex.EncodeToString(id.Directory) {
		return 0, &CorruptError{Path: path, Detail: "the file is of another directory"}
	}
	return counter, nil
}

func encodeBoot(id raft.Identity) []byte {
	return encodeRecord("boot", "directory", hex.EncodeToString(id.Directory), "counter", strconv.FormatUint(id.BootCounter, 10))
}

// digestOf is how a segment names the directory it belongs to. The incarnation
// is not part of it: a blank server adopts one and keeps its log.
func digestOf(id raft.Identity) (digest [digestSize]byte) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %x", id.Cluster, id.Server, id.Directory))
	copy(digest[:], sum[:])
	return digest
}
