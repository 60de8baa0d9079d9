// A peer on Go's crypto/tls. tests/peers/program_peer.py has the arguments and the output.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
)

const closeNotify = 0

var curves = map[string]tls.CurveID{
	"x25519": tls.X25519, "secp256r1": tls.CurveP256, "secp384r1": tls.CurveP384,
}

// outcome is what the peer saw of one connection.
type outcome struct {
	alert    int // -1 for none
	resumed  string
	exported string
	story    string
}

func main() {
	part := map[string]string{}
	for _, argument := range os.Args[1:] {
		name, value, _ := strings.Cut(argument, "=")
		part[name] = value
	}
	config := configuration(part)
	connections := number(part, "connections", 1)
	if part["role"] == "client" {
		for range connections {
			connection, err := net.Dial("tcp", "127.0.0.1:"+part["port"])
			must(err)
			report(play(tls.Client(deadline(connection), config), part))
		}
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	for range connections {
		connection, err := listener.Accept()
		must(err)
		report(play(tls.Server(deadline(connection), config), part))
	}
}

func configuration(part map[string]string) *tls.Config {
	config := &tls.Config{
		ServerName:         part["name"],
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
	if part["cert"] != "" {
		certificate, err := tls.LoadX509KeyPair(part["cert"], part["key"])
		must(err)
		certificate.OCSPStaple = staple(part)
		config.Certificates = []tls.Certificate{certificate}
	}
	if part["trust"] != "" {
		pem, err := os.ReadFile(part["trust"])
		must(err)
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(pem)
		config.ClientCAs = config.RootCAs
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if part["group"] != "" {
		config.CurvePreferences = []tls.CurveID{curves[part["group"]]}
	}
	if part["alpn"] != "" {
		config.NextProtos = strings.Split(part["alpn"], ",")
	}
	if part["tls12_only"] != "" {
		config.MaxVersion = tls.VersionTLS12
	}
	if part["ech"] != "" {
		config.EncryptedClientHelloConfigList = base64Decoded(part["ech"])
	}
	if part["ech_grease"] != "" && !hasField(config, "grease") {
		fmt.Println("tls.Config has no option for GREASE")
		os.Exit(1)
	}
	if part["ech_key"] != "" {
		config.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{{
			Config:      base64Decoded(part["ech_config"]),
			PrivateKey:  base64Decoded(part["ech_key"]),
			SendAsRetry: true,
		}}
	}
	return config
}

// staple returns the OCSP response of the part; nil if it has none.
func staple(part map[string]string) []byte {
	if part["staple"] == "" {
		return nil
	}
	response, err := os.ReadFile(part["staple"])
	must(err)
	return response
}

// hasField tells whether a name of the configuration's fields contains a text.
func hasField(config *tls.Config, text string) bool {
	fields := reflect.TypeOf(*config)
	for i := range fields.NumField() {
		if strings.Contains(strings.ToLower(fields.Field(i).Name), text) {
			return true
		}
	}
	return false
}

// reportECH tells whether the inner ClientHello was accepted, and what to try again with.
func reportECH(connection *tls.Conn, err error) {
	var rejection *tls.ECHRejectionError
	var retry []byte
	if errors.As(err, &rejection) {
		retry = rejection.RetryConfigList
	}
	fmt.Printf("ech accepted=%t retry=%x\n", connection.ConnectionState().ECHAccepted, retry)
}

// play has one conversation: handshake, echo, close.
func play(connection *tls.Conn, part map[string]string) outcome {
	defer connection.NetConn().Close()
	err := connection.Handshake()
	reportECH(connection, err)
	if err != nil {
		return failure(err)
	}
	state := connection.ConnectionState()
	if !state.DidResume && part["role"] == "client" && !bytes.Equal(state.OCSPResponse, staple(part)) {
		return failure(errors.New("got another OCSP response"))
	}
	saw := outcome{closeNotify, strconv.FormatBool(state.DidResume), "", ""}
	if label := part["exports"]; label != "" {
		exported, err := state.ExportKeyingMaterial(label, nil, number(part, "exported_length", 0))
		must(err)
		saw.exported = fmt.Sprintf("%x", exported)
	}
	length := number(part, "echo", 0)
	if part["streams"] != "" {
		if _, err := io.CopyN(connection, connection, int64(length)); err != nil {
			return failure(err)
		}
		length = 0
	}
	data := make([]byte, length)
	if _, err := io.ReadFull(connection, data); err != nil {
		return failure(err)
	}
	if _, err := io.Copy(connection, bytes.NewReader(data)); err != nil {
		return failure(err)
	}
	if part["leaves"] != "" {
		return saw // without close_notify
	}
	closesFirst := part["closes_first"] != ""
	if !closesFirst {
		if err := expectEnd(connection); err != nil {
			return failure(err)
		}
	}
	if err := connection.CloseWrite(); err != nil {
		return failure(err)
	}
	if closesFirst {
		if err := expectEnd(connection); err != nil {
			return failure(err)
		}
	}
	return saw
}

// expectEnd reads close_notify. Without one Go returns io.ErrUnexpectedEOF.
func expectEnd(connection *tls.Conn) error {
	rest, err := io.ReadAll(connection)
	if err == nil && len(rest) > 0 {
		return fmt.Errorf("got %d bytes instead of the end", len(rest))
	}
	return err
}

// failure names the alert that the other side sent, if it did.
func failure(err error) outcome {
	saw := outcome{-1, "", "", err.Error()}
	var operation *net.OpError
	if errors.As(err, &operation) && operation.Op == "remote error" {
		saw.alert = int(reflect.ValueOf(operation.Err).Uint()) // the type is not exported
	}
	if errors.Is(err, io.EOF) {
		saw.alert = closeNotify
	}
	return saw
}

func report(saw outcome) {
	fmt.Printf("saw alert=%d resumed=%s exported=%s story=%q\n",
		saw.alert, saw.resumed, saw.exported, saw.story)
}

func deadline(connection net.Conn) net.Conn {
	must(connection.SetDeadline(time.Now().Add(time.Minute)))
	return connection
}

func number(part map[string]string, name string, otherwise int) int {
	if part[name] == "" {
		return otherwise
	}
	value, err := strconv.Atoi(part[name])
	must(err)
	return value
}

func base64Decoded(text string) []byte {
	octets, err := base64.StdEncoding.DecodeString(text)
	must(err)
	return octets
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
