<?php
// Takes the answers to consents that vippsauth posts, and keeps each once, a line of JSON, in the file CONSENTS_FILE.
// The secret is that of consent_secret, in the file CONSENT_SECRET_FILE. The signature is that of Standard Webhooks
// (https://www.standardwebhooks.com), for which there are libraries too. A visitor is shown the header X-Vipps-Consents.
// To try it: CONSENT_SECRET_FILE=… CONSENTS_FILE=… php -S 127.0.0.1:8080 consents.php

function refuse(int $status, string $why): never
{
    http_response_code($status);
    exit($why . "\n");
}

if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    header('Content-Type: text/plain; charset=utf-8');
    exit('Your answers: ' . ($_SERVER['HTTP_X_VIPPS_CONSENTS'] ?? 'Vipps told none with this login') . "\n");
}
$id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
$time = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
$body = file_get_contents('php://input');
$key = base64_decode(substr(trim(file_get_contents(getenv('CONSENT_SECRET_FILE'))), strlen('whsec_')), true);
if ($key === false || strlen($key) < 24) {
    refuse(500, 'no secret');
}

// The signature says that it is vippsauth's, and the time that it is not an old one sent again.
$want = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$time.$body", $key, true));
if (!hash_equals($want, $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') || abs(time() - (int) $time) > 300) {
    refuse(401, 'not signed');
}

// The same event may come twice: its id tells.
$file = fopen(getenv('CONSENTS_FILE'), 'c+');
flock($file, LOCK_EX);
while (($line = fgets($file)) !== false) {
    if (json_decode($line)->id === $id) {
        exit;
    }
}
$event = json_decode($body);
fwrite($file, json_encode(['id' => $id] + (array) $event, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES) . "\n");
fflush($file);
// A 200 says that it is kept. Anything else, and vippsauth sends it again.
