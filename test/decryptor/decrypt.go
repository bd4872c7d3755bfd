// A second decryptor of stored objects, written from docs/reference/encryption.md and sharing nothing with the server.
//
//	go run decrypt.go MASTER_KEY_FILE < objects.jsonl
//
// Each line of the input describes an object: the columns of its row in table object, the wrapped key of its tenant
// (table tenant_key), both hex, and the file of its stored bytes. For each the output has one line: the
// object's id and "ok", or what is wrong with it.
package main

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	saltSize, commitSize, tagSize = 24, 32, 16
	headSize                      = saltSize + commitSize
	chunkSize                     = 16384
	info                          = "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"
)

type part struct {
	Size   int64  `json:"size_bytes"`
	Salt   string `json:"salt"`
	Commit string `json:"commitment"`
}

type object struct {
	ID               string `json:"object_id"`
	Tenant           uint64 `json:"tenant_id"`
	Size             uint64 `json:"size_bytes"`
	SHA256           string `json:"sha256"`
	WrappedKey       string `json:"wrapped_key"`
	TenantKey        string `json:"tenant_key"`
	TenantKeyVersion uint32 `json:"tenant_key_version"`
	File             string `json:"file"`
	Manifest         struct {
		Version uint32 `json:"version"`
		Parts   []part `json:"parts"`
		Mac     string `json:"mac"`
	} `json:"manifest"`
}

// context of a message: what it is, then fields of fixed length that fix its place.
func context(kind string, fields ...any) []byte {
	out := []byte("millrace/" + kind + "@v1\x00")
	for _, field := range fields {
		switch value := field.(type) {
		case uint32:
			out = binary.BigEndian.AppendUint32(out, value)
		case uint64:
			out = binary.BigEndian.AppendUint64(out, value)
		case []byte:
			out = append(out, value...)
		}
	}
	return out
}

func expand(key []byte, info string, size int) []byte {
	derived, err := hkdf.Expand(sha512.New, key, info, size)
	check(err)
	return derived
}

type message struct {
	aead   cipher.AEAD
	nonce  []byte
	commit []byte
}

func derive(key, salt, ctx []byte) message {
	derived := expand(key, info+string(salt)+string(ctx), 32+12+commitSize)
	block, err := aes.NewCipher(derived[:32])
	check(err)
	aead, err := cipher.NewGCM(block)
	check(err)
	return message{aead, derived[32:44], derived[44:]}
}

func (m message) open(index uint64, stored []byte) []byte {
	nonce := append([]byte{}, m.nonce...)
	binary.BigEndian.PutUint64(nonce[4:], binary.BigEndian.Uint64(nonce[4:])^index)
	content, err := m.aead.Open(nil, nonce, stored, nil)
	check(err)
	return content
}

// openSecret reads a message of one chunk: a wrapped key.
func openSecret(key, ctx, stored []byte) []byte {
	require(len(stored) > headSize, "a wrapped key is too short")
	m := derive(key, stored[:saltSize], ctx)
	require(hmac.Equal(m.commit, stored[saltSize:headSize]), "a key was wrapped by another key or for another place")
	return m.open(0, stored[headSize:])
}

func (o object) verifyManifest(key []byte) {
	mac := hmac.New(sha256.New, expand(key, "millrace/object-manifest@v1", 32))
	mac.Write(context("object-manifest", o.Tenant, unhex(o.ID), o.Manifest.Version, o.Size, unhex(o.SHA256), uint32(len(o.Manifest.Parts))))
	for _, p := range o.Manifest.Parts {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(p.Size)))
		mac.Write(unhex(p.Salt + p.Commit))
	}
	require(hmac.Equal(mac.Sum(nil), unhex(o.Manifest.Mac)), "the manifest has been changed")
}

// verify decrypts an object to nothing but its SHA-256; it answers "ok", or what is wrong.
func (o object) verify(masterKey []byte) (verdict string) {
	defer func() {
		if reason := recover(); reason != nil {
			verdict = fmt.Sprint(reason)
		}
	}()
	tenantKey := openSecret(masterKey, context("tenant-key", o.Tenant, o.TenantKeyVersion), unhex(o.TenantKey))
	key := openSecret(tenantKey, context("object-key", o.Tenant, unhex(o.ID), o.TenantKeyVersion), unhex(o.WrappedKey))
	o.verifyManifest(key)
	file, err := os.Open(o.File)
	check(err)
	defer file.Close()
	stored, hash := bufio.NewReader(file), sha256.New()
	for number, p := range o.Manifest.Parts {
		ctx := context("part", o.Tenant, unhex(o.ID), o.Manifest.Version, uint32(number+1))
		decryptPart(derive(key, unhex(p.Salt), ctx), p, stored, hash)
	}
	_, err = stored.ReadByte()
	require(err == io.EOF, "there are more stored bytes than the manifest knows of")
	require(hex.EncodeToString(hash.Sum(nil)) == o.SHA256, "the content has another SHA-256")
	return "ok"
}

func decryptPart(m message, p part, stored io.Reader, out io.Writer) {
	head := read(stored, headSize)
	same := hex.EncodeToString(head) == p.Salt+p.Commit && hex.EncodeToString(m.commit) == p.Commit
	require(same, "the stored bytes are of another part")
	for index, left := uint64(0), p.Size; ; index++ {
		out.Write(m.open(index, read(stored, min(left, chunkSize)+tagSize)))
		// The last chunk is always a short one, and empty when it must be.
		if left < chunkSize {
			return
		}
		left -= chunkSize
	}
}

func read(from io.Reader, size int64) []byte {
	bytes := make([]byte, size)
	_, err := io.ReadFull(from, bytes)
	check(err)
	return bytes
}

func unhex(text string) []byte {
	bytes, err := hex.DecodeString(text)
	check(err)
	return bytes
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func require(holds bool, otherwise string) {
	if !holds {
		panic(otherwise)
	}
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	check(err)
	masterKey := unhex(strings.TrimPrefix(strings.TrimSpace(string(text)), "millrace-master-key-1:"))
	for lines := json.NewDecoder(os.Stdin); lines.More(); {
		var o object
		check(lines.Decode(&o))
		fmt.Println(o.ID, o.verify(masterKey))
	}
}
