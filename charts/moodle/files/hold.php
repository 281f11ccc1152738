<?php
// Holds the delivery of events until standard input ends: takes the locks of the tasks that send events. A backup copies the queue
// and the statements meanwhile, so that no event is in both or in neither of them.
//
// Input {"seconds": how long to wait for a task that is running}, output {"held": whether all locks were taken}.

require(__DIR__ . '/boot.php');

$until = time() + (int)(lastack_input()->seconds ?? 0);
$factory = \core\lock\lock_config::get_lock_factory('cron');
$locks = [];
foreach (['emit_task', 'failed_task', 'historical_task'] as $task) {
    $locks[] = $factory->get_lock("\\logstore_xapi\\task\\$task", max(0, $until - time()));
}
$locks = array_filter($locks);
lastack_respond(['held' => count($locks) === 3]);
flush();
while (!feof(STDIN)) {
    fread(STDIN, 1024);
}
foreach ($locks as $lock) {
    $lock->release();
}
