package pdf

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/rc4"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
)

// crypt decrypts what can be read without a password (7.6): most encrypted files
// only say that they are not to be printed.
type crypt struct {
	key []byte
	aes bool
	v5  bool // the key is that of everything
	raw bool // nothing is encrypted, in spite of all that is said
}

// padding completes short passwords, such as none.
var padding = []byte("\x28\xBF\x4E\x5E\x4E\x75\x8A\x41\x64\x00\x4E\x56\xFF\xFA\x01\x08\x2E\x2E\x00\xB6\xD0\x68\x3E\x80\x2F\x0C\xA9\xFE\x64\x53\x69\x7A")

// decrypt finds the key of a file that is encrypted.
func (f *file) decrypt() error {
	if f.trailer["Encrypt"] == nil {
		return nil
	}
	e := f.dict(f.trailer["Encrypt"])
	if e == nil || f.resolve(e["Filter"]) != name("Standard") {
		return fmt.Errorf("%w by a program of somebody's own", ErrEncrypted)
	}
	c := &crypt{}
	version, bits := f.integer(e["V"], 0), f.integer(e["Length"], 40)
	if version == 4 || version == 5 {
		filter, _ := f.resolve(e["StmF"]).(name)
		switch f.resolve(f.dict(f.dict(e["CF"])[filter])["CFM"]) {
		case name("AESV2"), name("AESV3"):
			c.aes = true
		case name("V2"):
		default:
			c.raw = true
		}
		bits = 128
	} else if version == 1 {
		bits = 40
	}
	revision := f.integer(e["R"], 0)
	owner, user := f.text(e["O"]), f.text(e["U"])
	if version == 5 {
		c.v5 = true
		c.key = keyOfUser(revision, user, f.text(e["UE"]))
	} else if version >= 1 && version <= 4 && bits >= 40 && bits <= 128 && len(owner) >= 32 && len(user) >= 16 {
		c.key = f.keyOfNobody(e, revision, bits/8, owner, user)
	}
	if c.key == nil {
		return fmt.Errorf("%w: a password is needed", ErrEncrypted)
	}
	f.crypt = c
	clear(f.cache) // what was read until now
	clear(f.packs)
	return nil
}

func (f *file) text(x object) []byte {
	s, _ := f.resolve(x).(string)
	return []byte(s)
}

// keyOfNobody returns the key for an empty password, nil if it is not that
// (algorithms 2, 4 and 5).
func (f *file) keyOfNobody(e dict, revision, n int, owner, user []byte) []byte {
	h := md5.New()
	h.Write(padding)
	h.Write(owner[:32])
	var permissions [4]byte
	binary.LittleEndian.PutUint32(permissions[:], uint32(int64(f.number(e["P"], 0))))
	h.Write(permissions[:])
	var id []byte
	if ids := f.list(f.trailer["ID"]); len(ids) > 0 {
		id = f.text(ids[0])
	}
	h.Write(id)
	if encrypted, ok := f.resolve(e["EncryptMetadata"]).(bool); ok && !encrypted && revision >= 4 {
		h.Write([]byte{0xff, 0xff, 0xff, 0xff})
	}
	key := h.Sum(nil)
	if revision >= 3 {
		for range 50 {
			sum := md5.Sum(key[:n])
			key = sum[:]
		}
	}
	key = key[:n]
	if revision < 3 {
		if !bytes.Equal(unRC4(key, padding), user[:min(len(user), 32)]) {
			return nil
		}
		return key
	}
	sum := md5.Sum(append(bytes.Clone(padding), id...))
	check := unRC4(key, sum[:])
	for i := byte(1); i < 20; i++ {
		other := bytes.Clone(key)
		for k := range other {
			other[k] ^= i
		}
		check = unRC4(other, check)
	}
	if !bytes.Equal(check, user[:16]) {
		return nil
	}
	return key
}

// keyOfUser returns the key for an empty password of AES-256 (ISO 32000-2,
// 7.6.4.3.3), nil if it is not that.
func keyOfUser(revision int, user, sealed []byte) []byte {
	if len(user) < 48 || len(sealed) < 32 {
		return nil
	}
	hash := func(salt []byte) []byte {
		sum := sha256.Sum256(salt)
		if revision < 6 {
			return sum[:]
		}
		return hardened(sum[:])
	}
	if !bytes.Equal(hash(user[32:40]), user[:32]) {
		return nil
	}
	block, err := aes.NewCipher(hash(user[40:48]))
	if err != nil {
		return nil
	}
	key := make([]byte, 32)
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(key, sealed[:32])
	return key
}

// hardened is algorithm 2.B for an empty password.
func hardened(k []byte) []byte {
	for i := 0; ; i++ {
		block, err := aes.NewCipher(k[:16])
		if err != nil {
			return nil
		}
		e := bytes.Repeat(k, 64)
		cipher.NewCBCEncrypter(block, k[16:32]).CryptBlocks(e, e)
		rest := 0
		for _, c := range e[:16] {
			rest += int(c)
		}
		switch rest % 3 {
		case 0:
			sum := sha256.Sum256(e)
			k = sum[:]
		case 1:
			sum := sha512.Sum384(e)
			k = sum[:]
		case 2:
			sum := sha512.Sum512(e)
			k = sum[:]
		}
		if i >= 63 && int(e[len(e)-1]) <= i+1-32 {
			return k[:32]
		}
	}
}

// stream returns the data of a stream in clear. It may overwrite data.
func (c *crypt) stream(s *stream, data []byte) []byte {
	if c == nil || c.raw || s.dict["Type"] == name("XRef") {
		return data
	}
	return c.open(s.key, data)
}

// open decrypts what belongs to an object (algorithm 1).
func (c *crypt) open(r ref, data []byte) []byte {
	key := c.key
	if !c.v5 {
		salt := []byte{byte(r.number), byte(r.number >> 8), byte(r.number >> 16), byte(r.generation), byte(r.generation >> 8)}
		if c.aes {
			salt = append(salt, "sAlT"...)
		}
		sum := md5.Sum(append(bytes.Clone(key), salt...))
		key = sum[:min(len(key)+5, 16)]
	}
	if !c.aes {
		return unRC4(key, data)
	}
	block, err := aes.NewCipher(key)
	if err != nil || len(data) < 2*aes.BlockSize {
		return nil
	}
	iv := data[:aes.BlockSize]
	data = data[aes.BlockSize : len(data)-len(data)%aes.BlockSize]
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(data, data)
	if n := int(data[len(data)-1]); n > 0 && n <= aes.BlockSize {
		data = data[:len(data)-n]
	}
	return data
}

func unRC4(key, data []byte) []byte {
	c, err := rc4.NewCipher(key)
	if err != nil {
		return nil
	}
	out := make([]byte, len(data))
	c.XORKeyStream(out, data)
	return out
}
